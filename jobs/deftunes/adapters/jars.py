"""The jars of the Spark session, from Maven by coordinates, each checked against its SHA-256.

    jars.txt  ->  ~/.m2/repository (fetched where missing)  ->  class path

A jar enters the repository whole and checked, by rename, so a killed download leaves nothing behind. All are read and
checked once more where that is affordable: at set-up, when an image or a release is made, and by `deftunes doctor`. The
start of a session only looks whether they are there.
"""

import hashlib
import sys
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deftunes.core.errors import DeftunesError, RetriableError

REPOSITORY = Path.home() / ".m2" / "repository"
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


def classpath(repository: Path = REPOSITORY, *, verify: bool = False) -> tuple[Path, ...]:
    """Paths of the required jars, fetched where missing; `verify` also replaces those that are not what was pinned.

    Raises:
        RetriableError: Maven does not answer.
        DeftunesError: what Maven sends is not what was pinned.

    """
    jars = required()
    for jar in jars:
        path = jar.path(repository)
        if not path.is_file() or (verify and _sha256(path) != jar.sha256):
            _fetch(jar, repository)
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Fetch what is missing and check what is there: `python -m deftunes.adapters.jars`."""
    try:
        paths = classpath(REPOSITORY, verify=True)
    except DeftunesError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{len(paths)} jars in {REPOSITORY}\n")


if __name__ == "__main__":
    main()
