"""Bring a release to AWS: `python release/deploy.py --environment dev --release 1.4.0`.

    this project, its pinned wheels, the jars, the script  ->  s3://<artifacts>/releases/1.4.0/glue/
    the images of that tag on this machine                 ->  their repositories
    where there are dashboards: their assets, then         ->  the service

A release is what it was when it was tested: files and images that are there already are left as they are, and a release
that was deployed halfway is completed by the same command. The script goes last: without it no job starts.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import boto3
import docker
import typer
from docker.errors import APIError, DockerException, ImageNotFound

from dashboards import Dashboards, deploy_dashboards
from deftunes.adapters.jars import classpath
from deftunes.adapters.lake import open_lake
from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.settings import REPOSITORY, Settings

if TYPE_CHECKING:
    from docker import DockerClient

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
    jars = {path.name: path for path in classpath(verify=True)}
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


def push_images(engine: "DockerClient", repositories: dict[str, str], release: str, login: dict[str, str]) -> list[str]:
    """Push `deftunes/<image>:<release>` to its repository (by image) where it is not there; returns what was pushed.

    Raises:
        DeftunesError: the image was not built, or the registry refused it.
    """
    pushed = []
    images = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))["images"]
    for name, repository in repositories.items():
        here, there = f"{images[name]['repository']}:{release}", f"{repository}:{release}"
        if _is_pushed(engine, there, login):
            continue
        try:
            engine.images.get(here).tag(repository, release)
        except ImageNotFound as error:
            raise DeftunesError(
                f"expected the image {here} on this machine, found none; run: make images TAG={release}"
            ) from error
        for line in engine.images.push(repository, release, auth_config=login, stream=True, decode=True):
            if "error" in line:
                raise DeftunesError(f"expected {there} to take the image, got: {line['error']}. Run the command again")
        pushed.append(there)
    return pushed


def _is_pushed(engine: "DockerClient", there: str, login: dict[str, str]) -> bool:
    try:
        engine.images.get_registry_data(there, auth_config=login)
    except APIError as error:
        if error.status_code in {403, 404} or "manifest unknown" in str(error):  # engines differ
            return False
        raise DeftunesError(f"expected {there.partition('/')[0]} to answer, got: {error.explanation}") from error
    return True


def _outputs(environment: str) -> dict[str, Any]:
    """What Terraform says of an environment."""
    # Where `terraform init` noted which state is this environment's (docs/aws.md).
    data = f"TF_DATA_DIR=.terraform/{environment}"
    asked = ["env", data, "terraform", f"-chdir={REPOSITORY / 'terraform'}", "output", "-json", "-no-color"]
    if shutil.which("terraform") is None:
        raise DeftunesError("expected terraform on the PATH, found none. Install it and run the command again")
    done = subprocess.run(asked, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    if "artifacts_bucket" not in found:
        raise DeftunesError(
            f"expected the outputs of {environment}, got: {done.stderr.strip() or 'none'}. "
            f"Run: {data} terraform -chdir=terraform apply "
            f"-var-file={environment}.tfvars -var-file={environment}.local.tfvars"
        )
    return {name: output["value"] for name, output in found.items()}


def _show(outputs: dict[str, Any], release: str) -> list[str]:
    """Show the release's dashboards where the environment has some; Terraform leaves an output out that is null."""
    if outputs.get("dashboards") is None:
        return []
    image = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))["dashboards"]["image"]
    return deploy_dashboards(
        Dashboards(**outputs["dashboards"]), f"{outputs['repositories'][image]}:{release}",
        boto3.client("ecs"), boto3.client("secretsmanager"),
    )  # fmt: skip


def _ecr_login() -> dict[str, str]:
    """Good for hours; passed to the engine with each call, and stored nowhere."""
    token = boto3.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return {"username": user, "password": password}


def deploy(
    environment: Annotated[str, typer.Option(help="dev or prod, applied before.")],
    release: Annotated[str, typer.Option(help="The release, such as 1.4.0: the tag of the images here.")],
) -> None:
    """Upload what the Glue jobs of a release run, push its images, and show its dashboards where there are some."""
    if not release[:1].isdigit():
        raise BadUsageError(f"expected a release such as 1.4.0, got {release!r}: a name that moves says nothing")
    outputs = _outputs(environment)
    lake = open_lake(Settings(lake=f"s3://{outputs['artifacts_bucket']}/releases/{release}/glue"))
    try:
        engine = docker.from_env()
    except DockerException as error:
        raise DeftunesError(f"expected a Docker engine, got: {error}. Start it and run the command again") from error
    pushed = push_images(engine, outputs["repositories"], release, _ecr_login())
    with tempfile.TemporaryDirectory(prefix="deftunes-release-") as work:
        written = upload_release(lake, Path(work))
    done = [*pushed, *map(lake.uri, written), *_show(outputs, release)]
    sys.stdout.write("".join(f"{each}\n" for each in done) or f"release {release} is complete\n")


def main() -> None:
    """The command line of this module."""
    try:
        typer.run(deploy)
    except DeftunesError as error:
        sys.stderr.write(f"deploy: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
