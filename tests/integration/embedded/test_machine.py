"""A machine that lacks something: it works all the same where it can, and else says what is missing and what to do."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.stack import Stack

_NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_USER = 54321
# Zstandard is a native library, which the JVM puts into its temporary folder and loads from there.
_SPARK = """
import sys
from pathlib import Path
from deftunes.adapters.jars import classpath, repository
from deftunes.adapters.java import java_home
from deftunes.adapters.spark import open_spark
from deftunes.core.settings import prepare_process, read_settings

settings = read_settings()
prepare_process(settings)
spark = open_spark(settings, classpath(Path(sys.argv[1])), java_home())
spark.range(3).write.option("compression", "zstd").parquet(sys.argv[2])
print(spark.read.parquet(sys.argv[2]).count())
"""
_S3 = """
import sys
from deftunes import embedded
from deftunes.adapters.lake import open_lake
from deftunes.core.errors import DeftunesError
from deftunes.core.services import Service
from deftunes.core.settings import read_settings

settings = read_settings()
try:
    lake = open_lake(embedded.resolve(settings, {Service.AWS}))
    for number in range(64):
        lake.put(f"landing/{number}", bytes(1024**2))
except DeftunesError as error:
    sys.exit(f"{error.exit_code} {error}")
finally:
    embedded.down(settings)
"""


def _run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _mounted(folder: Path, options: str, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that sees a file system of its own at `folder`."""
    folder.mkdir()
    if _run(*_NAMESPACE, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)).returncode:
        pytest.skip("this machine lets us mount nothing")
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
    return _run(*_NAMESPACE, "sh", "-c", script, "sh", options, str(folder), *command, **environment)


def _spark(tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", _SPARK, str(Path.home() / ".m2" / "repository"), str(tmp_path / "out")]


def test_spark_works_where_nothing_may_run_from_the_temporary_folder(tmp_path: Path) -> None:
    home = {"DEFTUNES_HOME": str(tmp_path / "home"), "DEFTUNES_LAKE": "s3://lake"}
    ended = _mounted(tmp_path / "tmp", "noexec", *_spark(tmp_path), TMPDIR=str(tmp_path / "tmp"), **home)
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["3"]), ended.stderr


def test_spark_works_for_a_user_without_a_name_and_a_home(tmp_path: Path) -> None:
    as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
    jars = tmp_path / ".m2" / "repository"
    if _run(*as_user, "env", sys.executable, "-c", "import deftunes").returncode:
        pytest.skip("needs root, and an interpreter that every user may run")
    shutil.copytree(Path.home() / ".m2" / "repository", jars)
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to(tempfile.gettempdir()) and path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o755)
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", _USER, _USER)
    ended = _run(
        *as_user, "env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", sys.executable, "-c", _SPARK, str(jars),
        str(tmp_path / "theirs" / "out"), DEFTUNES_HOME=str(tmp_path / "theirs" / "home"), DEFTUNES_LAKE="s3://lake",
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["3"]), ended.stderr


def test_a_jvm_that_cannot_start_says_why(stack: "Stack") -> None:
    ended = stack.run("maintain", DEFTUNES_SPARK_MEMORY="9999999g")
    assert ended.returncode == 1
    told = next(line for line in ended.stderr.splitlines() if line.startswith("deftunes: "))
    assert told.startswith("deftunes: Spark's JVM cannot start: "), ended.stderr
    assert "heap" in told
    assert "DEFTUNES_SPARK_MEMORY is 9999999g" in told


def test_too_few_files_for_spark_are_told(stack: "Stack") -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))

    ended = subprocess.run(
        [sys.executable, "-m", "deftunes", "maintain"],
        env=stack.environment(), capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("deftunes: expected that this process may have 512 files open at once, got 300.")


def test_a_full_disk_below_the_embedded_s3_is_called_one(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    ended = _mounted(folder, "size=20m", sys.executable, "-c", _S3, DEFTUNES_HOME=str(folder / "home"))
    assert ended.stderr.startswith("1 the disk of S3 is full: "), ended.stderr
    assert "XMinioStorageFull" in ended.stderr


def test_a_full_disk_below_everything_is_called_one(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    up = 'head -c 2M /dev/zero >"$1/full" 2>/dev/null; "$2" -m deftunes up; code=$?; "$2" -m deftunes down; exit $code'
    ended = _mounted(
        folder, "size=1m", "sh", "-c", up, "sh", str(folder), sys.executable, DEFTUNES_HOME=str(folder / "home")
    )
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_doctor_finds_all_of_it_and_goes_on(tmp_path: Path) -> None:
    ended = _run(
        sys.executable, "-m", "deftunes", "doctor", "--json",
        DEFTUNES_HOME=str(tmp_path / "home"), DEFTUNES_SPARK_MEMORY="9999999g", DEFTUNES_EMBEDDED="false",
    )  # fmt: skip
    assert ended.returncode == 1
    assert '"name": "java and jars", "ok": false, "found": "' in ended.stdout
    assert "does not start with a heap of 9999999g" in ended.stdout
    assert '"name": "branches"' in ended.stdout
    assert ended.stderr == ""


def test_two_homes_at_once_are_two_platforms(tmp_path: Path) -> None:
    homes = [str(tmp_path / name) for name in ("one", "other")]
    ask = [sys.executable, "-m", "deftunes", "query", "select 1 as a", "--format", "csv"]
    try:
        assert [_run(*ask, DEFTUNES_HOME=home).stdout for home in homes] == ["a\n1\n"] * 2
        assert _run(sys.executable, "-m", "deftunes", "down", DEFTUNES_HOME=homes[0]).returncode == 0
        started = (tmp_path / "other" / "run" / "postgres").read_text()
        assert _run(*ask, DEFTUNES_HOME=homes[1]).stdout == "a\n1\n"
        assert (tmp_path / "other" / "run" / "postgres").read_text() == started
    finally:
        for home in homes:
            _run(sys.executable, "-m", "deftunes", "down", DEFTUNES_HOME=home)
