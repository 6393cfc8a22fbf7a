"""The embedded AWS: MiniStack's S3, Glue catalog and Secrets Manager, made durable by `aws_server`."""

import signal
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr

from deftunes.core import layout
from deftunes.core.services import Service
from deftunes.core.settings import Settings, expect_interpreter
from deftunes.embedded.home import Home, Record
from deftunes.embedded.process import LOOPBACK, answers_http

BUCKET = "deftunes-lake"
# MiniStack takes any key; these are the ones its documentation uses.
KEY = "test"


class Aws:
    """The service `aws`."""

    service: ClassVar[Service] = Service.AWS
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, home: Home) -> dict[str, str]:
        """Create its data folder."""
        home.data(self.service).mkdir(mode=0o700, exist_ok=True)
        return {}

    def command(self, home: Home, port: int, facts: dict[str, str], settings: Settings) -> list[str]:
        """The durable server around MiniStack."""
        return [expect_interpreter(), "-P", "-m", "deftunes.embedded.aws_server", str(port), str(_objects(home))]

    def environment(self, home: Home) -> dict[str, str]:
        """MiniStack's settings: persist everything, open no other port, use no Docker engine of this machine."""
        data = home.data(self.service)
        return {
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(_objects(home)),
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data / "state"),
            "SERVICES": "s3,glue,secretsmanager,sts",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{data / 'no-docker.sock'}",
            "LOG_LEVEL": "WARNING",
        }

    def is_healthy(self, record: Record) -> bool:
        """Whether its health endpoint answers."""
        return answers_http(record.port, "/_ministack/health")

    def initialize(self, home: Home, record: Record, settings: Settings) -> None:
        """Create the lake's bucket and silver's database."""
        import boto3
        from botocore.config import Config

        options = {
            "endpoint_url": _endpoint(record),
            "region_name": settings.aws_region,
            "aws_access_key_id": KEY,
            "aws_secret_access_key": KEY,
            "config": Config(proxies={}, s3={"addressing_style": "path"}),
        }
        s3 = boto3.client("s3", **options)  # type: ignore[call-overload]
        # Creating one's own bucket again is a success in us-east-1 and an error everywhere else.
        if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=BUCKET)
        glue = boto3.client("glue", **options)  # type: ignore[call-overload]
        try:
            glue.create_database(DatabaseInput={"Name": layout.DATABASE})
        except glue.exceptions.AlreadyExistsException:
            return

    def update_settings(self, home: Home, record: Record, settings: Settings) -> dict[str, object]:
        """The lake, its endpoint and its keys."""
        return {
            "lake": f"s3://{BUCKET}",
            "lake_access_key_id": SecretStr(KEY),
            "lake_secret_access_key": SecretStr(KEY),
            "aws_endpoint_url": _endpoint(record),
            "aws_endpoint_url_s3": _endpoint(record),
        }

    def address(self, record: Record) -> str:
        """The value for --endpoint-url of the AWS CLI."""
        return _endpoint(record)

    def cleanup(self, record: Record) -> None:
        """Nothing to remove."""


def _endpoint(record: Record) -> str:
    return f"http://{LOOPBACK}:{record.port}"


def _objects(home: Home) -> Path:
    return home.data(Service.AWS) / "s3"
