"""A release on a real S3: complete, whole after a cut, and never changed afterwards."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import deploy
from deftunes.adapters.lake import Lake, open_lake
from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.settings import REPOSITORY, Settings
from support.terraform import missing

GLUE = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))["glue"]
PINS = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)(\[.*\])?==(?P<version>\S+)", re.MULTILINE)


@pytest.fixture
def release(settings: Settings) -> Lake:
    """The folder of a release in an empty bucket."""
    assert settings.lake
    return open_lake(settings.model_copy(update={"lake": f"{settings.lake}/releases/1.4.0/glue"}))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the pinned packages: how wheels are had does not depend on how many."""
    text = (REPOSITORY / "terraform" / "requirements-glue.txt").read_text("utf-8")
    chosen = [block for block in re.split(r"\n(?=[a-z])", text) if block.startswith(("six==", "annotated-types=="))]
    assert len(chosen) == 2
    path = tmp_path_factory.mktemp("pins") / "requirements.txt"
    path.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return path


def test_a_release_is_complete_and_is_uploaded_once(release: Lake, small: Path, tmp_path: Path) -> None:
    written = deploy.upload_release(release, tmp_path, small)
    assert (
        set(written)
        == {GLUE["script"], GLUE["wheels"], *(f"jars/{jar}" for jar in GLUE["jars"])}
        == set(release.keys(""))
    )
    assert written[-1] == GLUE["script"]
    assert deploy.upload_release(release, tmp_path, small) == []


def test_glue_finds_the_project_and_its_pins_in_the_zip(small: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(deploy.make_wheels(tmp_path, GLUE["wheels"], small)) as zipped:
        names = set(zipped.namelist())
        listed = zipped.read("wheels/requirements.txt").decode().splitlines()
        project = next(name for name in names if name.startswith("wheels/deftunes-"))
        with zipfile.ZipFile(zipped.open(project)) as wheel:
            inside = set(wheel.namelist())
    assert {line.partition("==")[0] for line in listed} == {"deftunes", "six", "annotated_types"}
    assert len([name for name in names if name.endswith(".whl")]) == len(listed)
    assert {"deftunes/cli/glue.py", "deftunes/quality/rulesets/sessions.dqdl", "deftunes/adapters/jars.txt"} <= inside


def test_a_release_cut_off_is_finished_by_the_same_command(release: Lake, small: Path, tmp_path: Path) -> None:
    release.put(GLUE["wheels"], b"what was tested")
    written = deploy.upload_release(release, tmp_path, small)
    assert GLUE["wheels"] not in written
    assert release.get(GLUE["wheels"]) == b"what was tested"


def test_a_wheel_that_is_not_the_pinned_one_stops_the_release(release: Lake, small: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "requirements.txt"
    wrong.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", small.read_text("utf-8")), encoding="utf-8")
    with pytest.raises(DeftunesError, match="pip download failed"):
        deploy.upload_release(release, tmp_path, wrong)
    assert list(release.keys("")) == []


def test_glue_runs_the_versions_that_are_tested() -> None:
    both, spark, pinned = (
        {found["name"]: found["version"] for found in PINS.finditer((REPOSITORY / name).read_text("utf-8"))}
        for name in ("requirements.txt", "requirements-spark.txt", "terraform/requirements-glue.txt")
    )
    tested = both | spark
    assert len(pinned) > 30
    assert {name: version for name, version in pinned.items() if tested.get(name) != version} == {}
    assert "pyspark" not in pinned  # Glue's own


def test_what_cannot_be_deployed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deploy, "REPOSITORY", tmp_path)  # no environment was ever applied there
    (tmp_path / "terraform").mkdir()
    hint = "Run: TF_DATA_DIR=.terraform/dev terraform -chdir=terraform apply -var-file=dev.tfvars"
    with pytest.raises(DeftunesError, match=rf"(?s)expected (the outputs of dev.*{hint}|terraform on the PATH)"):
        deploy.deploy("dev", "1.4.0")
    with pytest.raises(BadUsageError, match=r"expected a release such as 1\.4\.0"):
        deploy.deploy("dev", "latest")


def test_a_release_goes_where_its_environment_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("terraform") is None:
        missing("no terraform on the PATH")
    root = tmp_path / "terraform"
    root.mkdir()
    (root / "main.tf").write_text(
        'terraform {\n  backend "local" {}\n}\n'
        'variable "name" {}\n'
        'output "artifacts_bucket" {\n  value = var.name\n}\n',
        encoding="utf-8",
    )
    for name in ("dev", "prod"):
        for command in (
            ("init", f"-backend-config=path={name}.tfstate"),
            ("apply", "-auto-approve", f"-var=name=artifacts-of-{name}"),
        ):
            subprocess.run(
                ["terraform", f"-chdir={root}", *command], env={**os.environ, "TF_DATA_DIR": f".terraform/{name}"},
                check=True, capture_output=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
    monkeypatch.setattr(deploy, "REPOSITORY", tmp_path)
    assert deploy._outputs("dev") == {"artifacts_bucket": "artifacts-of-dev"}
    assert deploy._outputs("prod") == {"artifacts_bucket": "artifacts-of-prod"}
