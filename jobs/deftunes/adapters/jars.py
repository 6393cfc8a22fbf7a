"""The jars of the Spark session, from Maven by coordinates, each checked against its SHA-256.

    jars.txt  ->  ~/.m2/repository (fetched where missing)  ->  class path

A jar enters the repository whole and checked, by rename, so a killed download leaves nothing behind. All are read and
checked once more where that is affordable: at set-up, when an image or a release is made, and by `deftunes doctor`. The
start of a session only looks whether they are there.
"""

import errno
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deftunes.core.errors import DeftunesError, RetriableError

_HTTP_SECONDS = 120
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


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


def repository(home: Path | None = None) -> Path:
    """Maven's local repository of this user, or below another home."""
    return (home or Path.home()) / ".m2" / "repository"


def classpath(*repositories: Path, verify: bool = False) -> tuple[Path, ...]:
    """Paths of the required jars, each from the first repository that has it; unset: Maven's own of this user.

    A missing one is fetched into the first that can be written; `verify` also replaces those that are not what was
    pinned.

    Raises:
        RetriableError: Maven does not answer.
        DeftunesError: what Maven sends is not what was pinned, or it cannot be kept.

    """
    places = repositories or (repository(),)
    return tuple(_find(jar, places, verify=verify) or _fetch_to_first(jar, places) for jar in required())


def _find(jar: Jar, repositories: Sequence[Path], *, verify: bool) -> Path | None:
    for path in (jar.path(place) for place in repositories):
        try:
            if path.is_file() and (not verify or _sha256(path) == jar.sha256):
                return path
        except PermissionError:  # another user's
            continue
    return None


def _fetch_to_first(jar: Jar, repositories: Sequence[Path]) -> Path:
    for place in repositories:
        try:
            jar.path(place).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            refused = error
            continue
        _fetch(jar, place)
        return jar.path(place)
    raise DeftunesError(
        f"expected a folder to keep {jar.coordinate} in, got {refused.strerror} for {refused.filename}. Set HOME or "
        "DEFTUNES_HOME to a folder that can be written"
    ) from refused


def _fetch(jar: Jar, repository: Path) -> None:
    from jgo.maven import MavenContext
    from requests import RequestException

    path = jar.path(repository)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as fetching:
        maven = MavenContext(repo_cache=Path(fetching), timeout=_HTTP_SECONDS)
        try:
            fetched = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (RequestException, RuntimeError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                raise DeftunesError(f"the disk is full: no space for {jar.coordinate} in {repository}") from error
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
        paths = classpath(repository(), verify=True)
    except DeftunesError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{len(paths)} jars in {repository()}\n")


if __name__ == "__main__":
    main()
