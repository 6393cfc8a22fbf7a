"""The lake: one S3 bucket and prefix, as a store of objects under relative keys."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError

from deftunes.adapters.failures import translate
from deftunes.core.errors import DeftunesError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from deftunes.core.settings import Settings

JsonObject = dict[str, Any]
_MISSING = {"NoSuchKey", "404", "NotFound"}


class Lake:
    """Objects under `s3://bucket/prefix/`; keys are relative to the prefix.

    S3 is strongly consistent and an object appears whole or not at all; what is built on it relies on both.
    """

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def __repr__(self) -> str:
        return f"Lake({self.uri('')})"

    def uri(self, key: str, scheme: str = "s3") -> str:
        """The full address of `key`."""
        return f"{scheme}://{self.bucket}/{self.prefix}{key}"

    def put(self, key: str, body: bytes) -> None:
        """Write a small object, replacing what is there."""
        with _TranslateErrors(self.uri(key)):
            answer = self._client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=body)
        self._expect_s3("ETag" in answer, key)

    def put_json(self, key: str, value: JsonObject) -> None:
        """Write an object as compact JSON with sorted keys, so that equal content is equal bytes."""
        self.put(key, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())

    def upload(self, key: str, path: Path) -> None:
        """Write a file of any size, in parts where it is large."""
        with _TranslateErrors(self.uri(key)):
            self._client.upload_file(str(path), self.bucket, self.prefix + key)
            kept = self._client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        self._expect_s3(kept.get("ContentLength") == path.stat().st_size and "ETag" in kept, key)

    def get(self, key: str) -> bytes | None:
        """A small object, or None if there is none."""
        try:
            with _TranslateErrors(self.uri(key)):
                return self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
        except _MissingError:
            return None

    def get_json(self, key: str) -> JsonObject | None:
        """A JSON object, or None if there is none."""
        body = self.get(key)
        if body is None:
            return None
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise DeftunesError(
                f"expected a JSON object at {self.uri(key)}, got another text: was the lake changed by hand? Restore "
                "the object (the bucket is versioned)"
            )
        return value

    def open(self, key: str) -> io.BufferedIOBase:
        """The body of an object as a stream."""
        with _TranslateErrors(self.uri(key)):
            return self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"]  # type: ignore[return-value]

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Keys below `prefix`, in order, from the first one greater than `after`. Lists lazily, page by page."""
        start = {"StartAfter": self.prefix + after} if after else {}
        with _TranslateErrors(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=self.prefix + prefix,
                **start,  # type: ignore[arg-type]
            )
            for page in pages:
                self._expect_s3("IsTruncated" in page, prefix)
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self.prefix)

    def _expect_s3(self, answered: bool, key: str) -> None:
        """A web server answers 200 to anything, and the SDK finds nothing wrong with it."""
        if not answered:
            raise DeftunesError(
                f"expected S3 to answer for {self.uri(key)}, got an answer that is not S3's: another server stands at "
                "its address. Check AWS_ENDPOINT_URL"
            )


def open_lake(settings: "Settings") -> Lake:
    """The lake that the settings name (embedded services must be resolved by then)."""
    assert settings.lake is not None
    bucket, _, prefix = settings.lake.removeprefix("s3://").partition("/")
    keys = {}
    if settings.lake_access_key_id and settings.lake_secret_access_key:
        keys = {
            "aws_access_key_id": settings.lake_access_key_id.get_secret_value(),
            "aws_secret_access_key": settings.lake_secret_access_key.get_secret_value(),
        }
    client: S3Client = boto3.client(
        "s3",
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url_s3,
        config=Config(
            retries={"mode": "standard", "max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
            s3={"addressing_style": "path"} if settings.aws_endpoint_url_s3 else {},
        ),
        **keys,  # type: ignore[call-overload]
    )
    return Lake(client, bucket, prefix)


class _MissingError(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class _TranslateErrors:
    """Turn the SDK's errors into ours: missing, refused for good, or worth another try."""

    what: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3UploadFailedError):
            error = error.__context__  # what S3 answered: `upload_file` wraps it
        if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code", "") in _MISSING:
            raise _MissingError from error
        translated = translate(error, self.what, "S3") if isinstance(error, Exception) else None
        if translated is not None:
            raise translated from error
