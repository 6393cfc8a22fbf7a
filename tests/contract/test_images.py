"""The images by their Dockerfiles and requirements: what they are made of, who runs in them, and that it is enough."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = sorted(path.name for path in (ROOT / "images").iterdir() if (path / "Dockerfile").is_file())
BASES = {"debian:bookworm-slim", "golang:1.26-bookworm"}
PLATFORM = json.loads((ROOT / "platform.json").read_text("utf-8"))
STAGES = {"extract", "transform", "dbt", "cli"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[^\]]*\])?==(\S+) \\$", re.MULTILINE)


@dataclass(frozen=True)
class Dockerfile:
    """One Dockerfile as instructions."""

    name: str

    @cached_property
    def text(self) -> str:
        return (ROOT / "images" / self.name / "Dockerfile").read_text("utf-8")

    @cached_property
    def instructions(self) -> list[tuple[str, str]]:
        lines = "\n".join(line for line in self.text.splitlines() if not line.startswith("#"))
        joined = lines.replace("\\\n", " ")
        return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]

    @cached_property
    def stages(self) -> dict[str, tuple[str, list[tuple[str, str]]]]:
        """By name: what it is made from, and its instructions. The last one has the image's name if it has none."""
        found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
        arguments = {}
        for word, rest in self.instructions:
            if word == "ARG" and not found:
                name, _, value = rest.partition("=")
                arguments[f"${{{name}}}"] = value
            elif word == "FROM":
                source, _, name = rest.partition(" AS ")
                found[name or self.name] = (arguments.get(source, source), current := [])
            elif found:
                current.append((word, rest))
        return found

    @cached_property
    def results(self) -> list[str]:
        """The stages that become images: those that carry a title."""
        return [name for name, (_, lines) in self.stages.items() if any("image.title" in rest for _, rest in lines)]

    def inherited(self, stage: str, word: str) -> str | None:
        """The last instruction of a kind in a stage, or in the one that it is made from."""
        while stage in self.stages:
            source, lines = self.stages[stage]
            values = [rest for kind, rest in lines if kind == word]
            if values:
                return values[-1]
            stage = source
        return None


def pins(path: str) -> dict[str, str]:
    return {name.lower(): version for name, _, version in PIN.findall((ROOT / path).read_text("utf-8"))}


@pytest.fixture(params=IMAGES)
def dockerfile(request: pytest.FixtureRequest) -> Dockerfile:
    return Dockerfile(request.param)


def test_images_are_found() -> None:
    assert {"airflow", "aws-local", "cli", "dbt", "extract", "minio", "purchase-api", "transform"} == set(IMAGES)
    repositories = {image["repository"].removeprefix("deftunes/") for image in PLATFORM["images"].values()}
    assert repositories <= set(IMAGES)


def test_an_image_is_made_from_pinned_bases_only(dockerfile: Dockerfile) -> None:
    known = {*BASES, *dockerfile.stages}
    assert {source for source, _ in dockerfile.stages.values()} <= known
    assert "syntax=" not in dockerfile.text
    assert ":latest" not in dockerfile.text
    assert len(dockerfile.stages) > 1


def test_nobody_is_root_in_an_image(dockerfile: Dockerfile) -> None:
    assert dockerfile.results
    for stage in dockerfile.results:
        user = dockerfile.inherited(stage, "USER")
        assert user, stage
        assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), stage


def test_an_image_says_what_it_is(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.results:
        title = "glue" if stage == "glue" else dockerfile.name
        assert dockerfile.inherited(stage, "LABEL") == f'org.opencontainers.image.title="deftunes/{title}"'


@pytest.mark.parametrize("stage", ["python", "tools", "project", "java", "jars"])
def test_a_shared_stage_is_the_same_in_every_dockerfile(stage: str) -> None:
    """A Dockerfile cannot include another, and not all engines know named contexts."""
    found = [dockerfile.stages[stage] for dockerfile in map(Dockerfile, IMAGES) if stage in dockerfile.stages]
    assert len(found) > 1
    assert all(each == found[0] for each in found)


def test_a_stages_command_is_the_clis() -> None:
    for name in STAGES:
        dockerfile = Dockerfile(name)
        for stage in dockerfile.results:
            expected = None if stage == "glue" else '["python", "-m", "deftunes"]'
            assert dockerfile.inherited(stage, "ENTRYPOINT") == expected, stage


def test_no_secret_is_built_in(dockerfile: Dockerfile) -> None:
    for word, rest in dockerfile.instructions:
        if word in {"ENV", "ARG"}:
            names = [pair.partition("=")[0] for pair in shlex.split(rest)]
            assert not [name for name in names if re.search("PASSWORD|SECRET|TOKEN|KEY|DSN", name)], rest
    assert "COPY . " not in dockerfile.text
    assert not re.search(r"https?://", dockerfile.text)


def test_packages_are_hashed(dockerfile: Dockerfile) -> None:
    if dockerfile.name == "minio":
        assert "requirements" not in dockerfile.text
        assert re.search(r"github.com/minio/minio@\$\{MINIO\}", dockerfile.text)
        return
    script = (ROOT / "images" / "shared" / "install.sh").read_text("utf-8")
    source, build = dockerfile.stages["build"]
    assert source == "tools"
    assert build[0] == ("COPY", f"images/{dockerfile.name}/requirements.txt ./")
    assert build[1][1].endswith("sh install.sh")
    for text in (dockerfile.text, script):
        assert text.count("--require-hashes") == text.count("--requirement ") == 1


@pytest.mark.parametrize("image", [name for name in IMAGES if name != "minio"])
def test_requirements_are_hashed_and_name_no_place(image: str) -> None:
    text = (ROOT / "images" / image / "requirements.txt").read_text("utf-8")
    found = PIN.findall(text)
    assert len(found) > 10
    assert len(found) == len(re.findall(r"^\S", text, re.MULTILINE)), "a line that is no pin"
    assert "://" not in text
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


# Airflow's versions are Managed Airflow's, and it shares no process with the jobs (docs/adr/0018).
@pytest.mark.parametrize("image", [name for name in IMAGES if name not in {"airflow", "minio"}])
def test_versions_are_those_that_were_tested(image: str) -> None:
    tested = pins("requirements.txt")
    here = pins(f"images/{image}/requirements.txt")
    assert {name: tested.get(name) for name in here} == here


def test_the_context_holds_nothing_private() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        word
        for name in IMAGES
        for kind, rest in Dockerfile(name).instructions
        if kind == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--chmod=")
    }
    assert copied
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    for path in copied:
        assert any(fnmatch(path, rule) or path.startswith(f"{rule}/") for rule in allowed), path


# What a process of the image imports before it does anything: stages, their adapters, what they import when called.
IMPORTED = {
    "extract": ["deftunes.cli.app", "deftunes.embedded", "deftunes.extract.sessions", "deftunes.extract.songs",
                "deftunes.extract.users", "deftunes.adapters.songs_source", "deftunes.adapters.catalog"],
    "transform": ["deftunes.cli.app", "deftunes.embedded", "deftunes.transform.stage", "deftunes.quality.stage",
                  "deftunes.publish.stage", "deftunes.adapters.spark", "deftunes.adapters.deequ", "pandas"],
    "dbt": ["deftunes.cli.app", "deftunes.embedded", "deftunes.load.stage", "deftunes.load.postgres",
            "deftunes.load.external", "deftunes.model.stage", "deftunes.operations.check", "dbt.cli.main",
            "dbt.adapters.postgres", "dbt.adapters.redshift", "deftunes.adapters.warehouse_redshift"],
    "cli": ["deftunes.cli.app", "deftunes.embedded", "deftunes.extract.sessions", "deftunes.transform.stage",
            "deftunes.load.stage", "deftunes.model.stage", "deftunes.operations.replay", "deftunes.operations.status"],
    "aws-local": ["deftunes.embedded.aws_local"],
    "purchase-api": ["purchase_api.__main__", "song_catalog.__main__"],
    "glue": ["deftunes.cli.glue", "deftunes.cli.app", "deftunes.embedded", "deftunes.transform.stage",
             "deftunes.quality.stage", "deftunes.adapters.spark", "deftunes.adapters.deequ"],
}  # fmt: skip
# What Glue 5.1 brings itself.
GLUES_OWN = {"pyspark", "py4j", "pandas", "numpy", "boto3", "botocore"}
_IMPORT_ONLY = """
import importlib, importlib.metadata as metadata, sys
allowed, modules = set(sys.argv[1].split()), sys.argv[2].split()
normal = lambda name: name.lower().replace("_", "-")
missing = {
    top for top, owners in metadata.packages_distributions().items()
    if not {normal(owner) for owner in owners} & (allowed | {"deftunes"})
}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"no {name} in the image", name=name)
sys.meta_path.insert(0, Finder())
for module in modules:
    importlib.import_module(module)
"""


@pytest.mark.parametrize("image", IMPORTED)
def test_an_image_holds_what_its_stages_import(image: str) -> None:
    path = "terraform/requirements-glue.txt" if image == "glue" else f"images/{image}/requirements.txt"
    allowed = {name.replace("_", "-") for name in pins(path)} | (GLUES_OWN if image == "glue" else set())
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT_ONLY, " ".join(sorted(allowed)), " ".join(IMPORTED[image])],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]


def test_a_missing_package_is_found() -> None:
    allowed = {name for name in pins("images/transform/requirements.txt") if name != "msgspec"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ONLY, " ".join(sorted(allowed)), "deftunes.transform.stage"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert "no msgspec in the image" in done.stderr


def test_the_images_versions_are_glues() -> None:
    assert pins("images/transform/requirements.txt")["pyspark"] == "3.5.6"
    assert "openjdk-17-jre-headless" in Dockerfile("transform").text
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert "pyspark==3.5.6" in extras["transform"]
    assert "pyspark" not in pins("images/extract/requirements.txt") | pins("images/dbt/requirements.txt")
