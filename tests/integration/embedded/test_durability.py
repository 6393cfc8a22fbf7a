"""The local AWS keeps its promise: what it acknowledged is there after kill -9, at a cost that does not grow."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deftunes import embedded
from deftunes.core import layout
from deftunes.core.services import Service
from deftunes.core.settings import Settings
from deftunes.embedded.aws import Aws
from deftunes.embedded.home import Home

BUCKET = "deftunes-lake"
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=20)


class LocalAws:
    """The service `aws` in a home of its own, with clients that try once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        settings = embedded.resolve(Settings(home=self.home), {Service.AWS})
        self.endpoint = settings.aws_endpoint_url
        self.pid = next(status.pid for status in embedded.service_statuses(settings) if status.service is Service.AWS)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, config=ONCE)  # type: ignore[call-overload]

    def kill(self) -> None:
        assert self.pid
        os.kill(self.pid, signal.SIGKILL)

    def table(self, name: str) -> dict[str, Any]:
        table: dict[str, Any] = self.client("glue").get_table(DatabaseName=layout.DATABASE, Name=name)["Table"]
        return table

    def commit(self, glue: Any, name: str, number: int) -> None:
        """What Iceberg does: read the version, write the next one, if no other came between."""
        version = glue.get_table(DatabaseName=layout.DATABASE, Name=name)["Table"]["VersionId"]
        table = {"Name": name, "Parameters": {"metadata_location": f"s3://{BUCKET}/{name}/{number}.metadata.json"}}
        glue.update_table(DatabaseName=layout.DATABASE, TableInput=table, VersionId=version)


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with tempfile.TemporaryDirectory(prefix="deftunes-test-") as folder:
        yield LocalAws(Path(folder))
        embedded.down(Settings(home=Path(folder)))


def make_table(aws: LocalAws, name: str) -> None:
    columns = [{"Name": f"column_{number}", "Type": "string"} for number in range(20)]
    aws.client("glue").create_table(
        DatabaseName=layout.DATABASE, TableInput={"Name": name, "StorageDescriptor": {"Columns": columns}}
    )


def location(table: dict[str, Any]) -> int:
    return int(table["Parameters"]["metadata_location"].rpartition("/")[2].partition(".")[0])


@pytest.mark.parametrize("attempt", range(2))
def test_killed_in_mid_writing_no_acknowledged_commit_secret_or_object_is_lost(aws: LocalAws, attempt: int) -> None:
    names = [f"killed_{attempt}_{worker}" for worker in range(4)]
    for name in names:
        make_table(aws, name)
    acknowledged = dict.fromkeys(names, -1)
    begun = threading.Event()

    def write(name: str) -> None:
        glue, s3, secrets = (aws.client(service) for service in ("glue", "s3", "secretsmanager"))
        try:
            for number in range(100_000):
                s3.put_object(Bucket=BUCKET, Key=f"{name}/{number}", Body=str(number).encode() * 1000)
                s3.put_object(Bucket=BUCKET, Key=f"{name}/newest", Body=f"{number:08d}".encode() * (1 + number % 7))
                secrets.create_secret(Name=f"{name}-{number}", SecretString=str(number))
                aws.commit(glue, name, number)
                acknowledged[name] = number
                if number == 3:
                    begun.set()
        except (BotoCoreError, ClientError):
            return

    with ThreadPoolExecutor(len(names)) as pool:
        for name in names:
            pool.submit(write, name)
        assert begun.wait(60)
        time.sleep(0.3)
        aws.kill()
    aws.start()

    s3, secrets = aws.client("s3"), aws.client("secretsmanager")
    assert min(acknowledged.values()) >= 0
    for name, last in acknowledged.items():
        assert location(aws.table(name)) in {last, last + 1}
        assert int(aws.table(name)["VersionId"]) == location(aws.table(name)) + 2
        for number in range(last + 1):
            body = s3.get_object(Bucket=BUCKET, Key=f"{name}/{number}")["Body"].read()
            assert body == str(number).encode() * 1000
            assert secrets.get_secret_value(SecretId=f"{name}-{number}")["SecretString"] == str(number)
        newest = s3.get_object(Bucket=BUCKET, Key=f"{name}/newest")["Body"].read()
        assert newest in {f"{number:08d}".encode() * (1 + number % 7) for number in (last, last + 1)}


def test_of_two_commits_on_one_version_one_is_refused(aws: LocalAws) -> None:
    make_table(aws, "contested")
    glue = aws.client("glue")
    version = aws.table("contested")["VersionId"]
    table = {"Name": "contested", "Parameters": {"metadata_location": "first"}}
    glue.update_table(DatabaseName=layout.DATABASE, TableInput=table, VersionId=version)
    with pytest.raises(glue.exceptions.ConcurrentModificationException):
        glue.update_table(DatabaseName=layout.DATABASE, TableInput=table, VersionId=version)


def test_the_last_commits_cost_no_more_than_the_first_ones(aws: LocalAws) -> None:
    names = [f"busy_{number}" for number in range(5)]
    for name in names:
        make_table(aws, name)
    glue = aws.client("glue")
    state = aws.home / "aws" / "state" / "glue.json"

    def seconds(numbers: range) -> float:
        began = time.monotonic()
        for number in numbers:
            aws.commit(glue, names[number % 5], 10_000 + number)
        return time.monotonic() - began

    seconds(range(50))
    size, first = state.stat().st_size, seconds(range(50, 150))
    seconds(range(150, 400))
    last = seconds(range(400, 500))
    assert state.stat().st_size <= size + 100  # the digits of its numbers
    assert last < 3 * first + 0.5
    assert all(int(aws.table(name)["VersionId"]) == 101 for name in names)


def test_a_body_without_its_own_sidecar_is_served_whole(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key="half/written", Body=b"old")
    body = next((aws.home / "aws" / "s3").rglob("half/written"))
    aws.kill()
    # What a kill between the two writes of MiniStack leaves, and a temporary file beside it.
    body.write_bytes(b"new and longer")
    body.with_name("other.tmp").write_bytes(b"x")
    aws.start()
    s3 = aws.client("s3")
    assert s3.get_object(Bucket=BUCKET, Key="half/written")["Body"].read() == b"new and longer"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="half/")["Contents"]] == ["half/written"]


def test_what_was_deleted_or_overwritten_after_a_clean_stop_stays_so_after_a_kill(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    for key in ("deleted", "overwritten"):
        s3.put_object(Bucket=BUCKET, Key=f"stop/{key}", Body=b"before")
    embedded.down(Settings(home=aws.home))
    aws.start()
    s3 = aws.client("s3")
    s3.delete_object(Bucket=BUCKET, Key="stop/deleted")
    s3.put_object(Bucket=BUCKET, Key="stop/overwritten", Body=b"after, and longer")
    aws.kill()
    aws.start()
    s3 = aws.client("s3")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="stop/")["Contents"]] == [
        "stop/overwritten"
    ]
    assert s3.get_object(Bucket=BUCKET, Key="stop/overwritten")["Body"].read() == b"after, and longer"


def test_large_objects_ranges_and_long_lists_are_those_of_s3_and_not_kept_in_memory(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    data = os.urandom(1 << 20) * 64
    before = memory(aws)
    for number in range(6):
        s3.upload_fileobj(io.BytesIO(data), BUCKET, f"large/{number}")
    assert memory(aws) - before < 300  # MiB, of 384 written
    aws.kill()
    aws.start()
    s3 = aws.client("s3")
    part = s3.get_object(Bucket=BUCKET, Key="large/5", Range="bytes=1000000-1999999")
    assert part["Body"].read() == data[1000000:2000000]
    assert part["ContentRange"] == f"bytes 1000000-1999999/{len(data)}"
    assert s3.get_object(Bucket=BUCKET, Key="large/3")["Body"].read() == data

    keys = [f"list/{number:04d}" for number in range(250)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), reversed(keys)))
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="list/", StartAfter="list/0099", PaginationConfig={"PageSize": 40}
    )
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys[100:]


def test_an_object_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "full")
    part = Aws()
    with tempfile.TemporaryFile() as log:
        port = free_port()
        command = part.command(home, port, part.prepare(home), Settings(home=home.path))
        # A limit on the size of a file stands for a full disk: 64 KiB.
        limited = ["/bin/bash", "-c", 'ulimit -f 64; exec "$@"', "bash", *command]
        server = subprocess.Popen(limited, env={**os.environ, **part.environment(home)}, stdout=log, stderr=log)
        try:
            s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", config=ONCE)
            wait_for(s3)
            s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="small", Body=b"x" * 1000)
            with pytest.raises((ClientError, BotoCoreError)):
                s3.put_object(Bucket=BUCKET, Key="large", Body=b"x" * 100_000)
            assert s3.get_object(Bucket=BUCKET, Key="small")["Body"].read() == b"x" * 1000
        finally:
            server.kill()
            server.wait()


def test_the_saved_state_is_what_ministack_reads(aws: LocalAws) -> None:
    make_table(aws, "format")
    saved = json.loads((aws.home / "aws" / "state" / "glue.json").read_text())
    assert set(saved) == {"__ministack_format__", "payload"}
    code = "import sys; from ministack.core.persistence import load_state; print('tables' in load_state('glue'))"
    read = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, **Aws().environment(Home(aws.home))},
    )  # fmt: skip
    assert read.stdout == "True\n"


def memory(aws: LocalAws) -> int:
    lines = Path(f"/proc/{aws.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


def free_port() -> int:
    from deftunes.embedded import process

    return process.free_port(None)


def wait_for(s3: Any) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            s3.list_buckets()
        except BotoCoreError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
