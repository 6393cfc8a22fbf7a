"""What S3 answers to a write, as the platform's errors: who has to act."""

from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from deftunes.adapters.lake import Lake
from deftunes.core.errors import DeftunesError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

NO_RETRIES = Config(retries={"total_max_attempts": 1}, connect_timeout=1)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part-00000.jsonl.gz"
    path.write_bytes(b"one")
    return path


def client(endpoint: str | None = None) -> "S3Client":
    return boto3.client(
        "s3", region_name="us-east-1", endpoint_url=endpoint, config=NO_RETRIES,
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status", "code", "message"),
    [
        ("SlowDown", 503, 75, "S3 failed on s3://b/p/landing/one: SlowDown"),
        ("InternalError", 500, 75, "S3 failed on s3://b/p/landing/one: InternalError"),
        ("AccessDenied", 403, 1, "S3 refused s3://b/p/landing/one: AccessDenied"),
    ],
)
def test_an_upload_fails_as_a_put_does(part: Path, answer: str, status: int, code: int, message: str) -> None:
    s3 = client()
    lake = Lake(s3, "b", "p")
    with Stubber(s3) as stubbed:
        for write in (lambda: lake.upload("landing/one", part), lambda: lake.put("landing/one", b"one")):
            stubbed.add_client_error("put_object", answer, http_status_code=status)
            with pytest.raises(DeftunesError, match=message) as failed:
                write()
            assert failed.value.exit_code == code


def test_an_upload_without_an_answer_is_retriable(part: Path) -> None:
    with pytest.raises(DeftunesError, match="S3 did not answer for s3://b/p/landing/one") as failed:
        Lake(client("http://127.0.0.1:1"), "b", "p").upload("landing/one", part)
    assert failed.value.exit_code == 75
