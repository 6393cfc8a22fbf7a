"""Upload what the Glue jobs of a release run: `python -m deftunes.deploy --bucket B --release 1.4.0`.

    this project, its pinned wheels, the jars, the script  ->  s3://B/releases/1.4.0/glue/

A release is what it was when it was tested: files that are there already are left as they are, and a release that was
uploaded halfway is finished by the same command. The script goes last: without it no job starts.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deftunes.adapters.jars import classpath
from deftunes.adapters.lake import open_lake
from deftunes.config import REPOSITORY, Settings
from deftunes.errors import BadUsageError, DeftunesError

if TYPE_CHECKING:
    from deftunes.adapters.lake import Lake

_REQUIREMENTS = REPOSITORY / "terraform" / "requirements-glue.txt"
# What Glue 5.1's Python can install, newest first.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def upload_release(lake: "Lake", work: Path, requirements: Path = _REQUIREMENTS) -> list[str]:
    """Put what is missing of a release below the lake's prefix; returns the keys that were written.

    Raises:
        DeftunesError: a wheel cannot be had, or a jar is not what was pinned.
    """
    glue = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))["glue"]
    present = set(lake.keys(""))
    written = []

    def put(key: str, path: Path) -> None:
        if key not in present:
            lake.upload(key, path)
            written.append(key)

    if glue["wheels"] not in present:
        put(glue["wheels"], make_wheels(work, glue["wheels"], requirements))
    jars = {path.name: path for path in classpath()}
    for name in glue["jars"]:
        put(f"jars/{name}", jars[name])
    put(glue["script"], REPOSITORY / "jobs" / glue["script"])
    return written


def make_wheels(work: Path, name: str, requirements: Path) -> Path:
    """A zip of wheels as Glue installs it: this project and all it needs, each checked against its hash.

    Raises:
        DeftunesError: a wheel cannot be had; pip says which.
    """
    wheels = work / "wheels"
    wheels.mkdir()
    platforms = [option for platform in _PLATFORMS for option in ("--platform", platform)]
    _pip("download", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp",
         *platforms, "--dest", str(wheels), "--requirement", str(requirements))  # fmt: skip
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(_project(work / "project")))
    found = sorted(wheels.glob("*.whl"))
    archive = work / name
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:  # wheels are compressed already
        zipped.writestr("wheels/requirements.txt", "".join(f"{_requirement(path)}\n" for path in found))
        for path in found:
            zipped.write(path, f"wheels/{path.name}")
    return archive


def _project(folder: Path) -> Path:
    """A clean copy of the project: a build in the tree would find what an older one left there."""
    for name in ("jobs", "sources"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def _requirement(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version}"


def _pip(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise DeftunesError(
            f"pip {arguments[0]} failed: {done.stderr.strip()[-1000:]}. Run the command again once it can"
        )


def deploy(
    bucket: Annotated[str, typer.Option(help="The artifacts bucket: terraform output -raw artifacts_bucket.")],
    release: Annotated[str, typer.Option(help="The release, such as 1.4.0.")],
) -> None:
    """Upload what the Glue jobs of a release run."""
    if not release[:1].isdigit():
        raise BadUsageError(f"expected a release such as 1.4.0, got {release!r}: a name that moves says nothing")
    lake = open_lake(Settings(lake=f"s3://{bucket}/releases/{release}/glue"))
    with tempfile.TemporaryDirectory(prefix="deftunes-release-") as work:
        written = upload_release(lake, Path(work))
    sys.stdout.write("".join(f"{lake.uri(key)}\n" for key in written) or f"{lake.uri('')} is complete\n")


def main() -> None:
    """The command line of this module."""
    try:
        typer.run(deploy)
    except DeftunesError as error:
        sys.stderr.write(f"deftunes.deploy: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
