"""The jars of the Spark session, from Maven by coordinates, each checked against its SHA-256.

    jars.txt  ->  ~/.m2/repository (fetched where missing)  ->  class path

A jar enters the repository whole and checked, by rename, so a killed download leaves nothing behind. What was checked
once is remembered by size and modification time: a later start reads no jar.
"""

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deftunes.core.errors import DeftunesError, RetriableError

REPOSITORY = Path.home() / ".m2" / "repository"
_STAMPS = "deftunes-checked.json"
_HTTP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Jar:
    """One Maven artifact of packaging jar, without its dependencies."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """As Maven writes it."""
        return f"{self.group}:{self.artifact}:{self.version}"

    def path(self, repository: Path) -> Path:
        """Where a Maven repository keeps it."""
        name = f"{self.artifact}-{self.version}.jar"
        return repository.joinpath(*self.group.split("."), self.artifact, self.version, name)


def required() -> tuple[Jar, ...]:
    """What the Spark session needs, in class path order."""
    lines = files("deftunes.adapters").joinpath("jars.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    entries = ((sha256, coordinate.split(":")) for sha256, coordinate in pairs)
    return tuple(Jar(group, artifact, version, sha256) for sha256, (group, artifact, version) in entries)


def classpath(repository: Path = REPOSITORY) -> tuple[Path, ...]:
    """Paths of the required jars, fetched where missing and checked.

    Raises:
        RetriableError: Maven does not answer.
        DeftunesError: what Maven sends is not what was pinned.

    """
    jars = required()
    stamps = _read_stamps(repository)
    checked = {jar.coordinate: _stamp(jar, repository) for jar in jars}
    for jar in jars:
        if checked[jar.coordinate] is None or checked[jar.coordinate] != stamps.get(jar.coordinate):
            path = jar.path(repository)
            if not path.is_file() or _sha256(path) != jar.sha256:
                _fetch(jar, repository)
            checked[jar.coordinate] = _stamp(jar, repository)
    if checked != {coordinate: stamps.get(coordinate) for coordinate in checked}:
        _write_stamps(repository, stamps | checked)
    return tuple(jar.path(repository) for jar in jars)


def _fetch(jar: Jar, repository: Path) -> None:
    from jgo.maven import MavenContext
    from requests import RequestException

    path = jar.path(repository)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as fetching:
        maven = MavenContext(repo_cache=Path(fetching), timeout=_HTTP_SECONDS)
        try:
            fetched = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (RequestException, RuntimeError, OSError) as error:
            raise RetriableError(
                f"expected {jar.coordinate} from Maven, got {type(error).__name__}. "
                "Check the network (HTTPS_PROXY, REQUESTS_CA_BUNDLE), then run `make setup` again"
            ) from error
        digest = _sha256(fetched)
        if digest != jar.sha256:
            raise DeftunesError(
                f"{jar.coordinate}: expected SHA-256 {jar.sha256}, got {digest} from Maven. It was not kept; "
                "if the version was changed on purpose, correct jars.txt"
            )
        fetched.replace(path)


def _stamp(jar: Jar, repository: Path) -> list[int | str] | None:
    try:
        status = jar.path(repository).stat()
    except FileNotFoundError:
        return None
    return [jar.sha256, status.st_size, status.st_mtime_ns]


def _read_stamps(repository: Path) -> dict[str, list[int | str] | None]:
    try:
        stamps: dict[str, list[int | str] | None] = json.loads((repository / _STAMPS).read_bytes())
    except (OSError, ValueError):
        return {}
    return stamps


def _write_stamps(repository: Path, stamps: dict[str, list[int | str] | None]) -> None:
    temporary = repository / f"{_STAMPS}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(stamps, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(repository / _STAMPS)
    except OSError:
        # A read-only repository (an image) costs a second of hashing at each start and nothing else.
        return


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Fetch what is missing, so that the first Spark session need not: `python -m deftunes.adapters.jars`."""
    try:
        paths = classpath()
    except DeftunesError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{len(paths)} jars in {REPOSITORY}\n")


if __name__ == "__main__":
    main()
