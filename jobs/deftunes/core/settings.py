"""Every setting of the resources, each with its default; the only reader of the environment.

A service whose address is unset is embedded: `deftunes.embedded` starts it and fills the address in.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deftunes.core.errors import BadUsageError
from deftunes.core.failpoints import Failpoint

REPOSITORY = Path(__file__).resolve().parents[3]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseSettings):
    """Read once by the edge and handed down. Names in the environment carry the prefix `DEFTUNES_`."""

    model_config = SettingsConfigDict(
        env_prefix="DEFTUNES_", env_ignore_empty=True, populate_by_name=True, frozen=True, extra="ignore"
    )

    # Where things are (unset: embedded)
    embedded: bool = Field(
        default=True, description="whether this process may start embedded services; no in containers and Glue jobs"
    )
    home: Path = Field(default=Path(".deftunes"), description="state of the embedded services, kept between commands")
    songs_dsn: SecretStr | None = Field(
        default=None, description="libpq string of the PostgreSQL that holds deftunes.songs"
    )
    api_url: str | None = Field(default=None, description="base URL of the Purchase API")
    api_token: SecretStr | None = Field(default=None, description="bearer token of the Purchase API, if it wants one")
    warehouse_dsn: SecretStr | None = Field(
        default=None, description="libpq string of the warehouse; redshift:// for Redshift"
    )
    lake: str | None = Field(default=None, pattern=r"^s3://[^/]+(/.*)?$", description="s3://bucket/prefix of the lake")
    lake_access_key_id: SecretStr | None = Field(
        default=None, description="key of the lake's S3 where it is not AWS's own"
    )
    lake_secret_access_key: SecretStr | None = Field(default=None, description="secret to lake_access_key_id")
    aws_endpoint_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL", "aws_endpoint_url"),
        description="endpoint of a local AWS",
    )
    aws_endpoint_url_s3: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "aws_endpoint_url_s3"),
        description="endpoint of a local S3",
    )
    aws_region: str = Field(
        default="us-east-1",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region"),
        description="region of the lake and the catalog",
    )
    dbt_project: Path = Field(default=REPOSITORY / "dbt_modeling", description="folder of the dbt project")

    # What is accepted
    max_price: Annotated[Decimal, Field(ge=0)] = Field(
        default=Decimal(2), description="highest price of an item; above: quarantine"
    )
    max_rejected: Share = Field(default=0.05, description="share of rejected rows above which a batch is refused")
    max_shrink: Share = Field(
        default=0.2, description="share of rows an answer may lack, compared with the landing in use"
    )
    look_back: Annotated[int, Field(ge=0)] = Field(
        3, description="days before --start that are read again for sessions"
    )

    # How sources are asked
    http_budget: Annotated[float, Field(ge=0)] = Field(
        default=120.0, description="seconds a failing request is retried"
    )
    http_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="seconds to wait for a connection or the next bytes"
    )
    http_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="requests to the Purchase API at once"
    )
    songs_full_after: Annotated[int, Field(ge=1)] = Field(
        30, description="incremental songs landings between full reads"
    )

    # Spark and the warehouse
    spark_memory: str = Field(default="2g", pattern=r"^\d+[mg]$", description="heap of the Spark driver")
    spark_provided: bool = Field(
        default=False, description="whether Java and jars for Spark are already installed, as on Glue"
    )
    java_home: Path | None = Field(
        default=None, validation_alias=AliasChoices("JAVA_HOME", "java_home"), description="a Java 17 of your own"
    )
    spark_master: str | None = Field(default=None, description="Spark master; unset: local[*], or what Glue has set")
    lock_timeout: Annotated[float, Field(ge=0)] = Field(
        30.0, description="seconds `load`, `model` and `check` wait for another run"
    )

    failpoint: Failpoint | None = Field(default=None, description="for drills only: where to kill this process")


def read_settings() -> Settings:
    """The settings from the environment.

    Raises:
        BadUsageError: a value cannot be read; names the variable, what was expected and what came.

    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"DEFTUNES_{str(detail['loc'][0]).upper()}: {detail['msg'].lower()}" for detail in error.errors()
        )
        raise BadUsageError(f"a setting cannot be read: {problems}. `deftunes env` lists every setting") from None


def export_aws(settings: Settings) -> None:
    """Show the embedded AWS to SDKs that read the standard variables themselves (boto3, the JVM's)."""
    exported = {
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
        "AWS_ENDPOINT_URL_S3": settings.aws_endpoint_url_s3,
        "AWS_ACCESS_KEY_ID": settings.lake_access_key_id and settings.lake_access_key_id.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.lake_secret_access_key and settings.lake_secret_access_key.get_secret_value(),
        "AWS_REGION": settings.aws_region,
        "AWS_DEFAULT_REGION": settings.aws_region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ.update({name: value for name, value in exported.items() if value})
    # A profile or a session of a real account would win over the keys above, or be sent along with them.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    # Nor may a proxy be asked for the embedded services; each library reads one of the two spellings.
    before = f"{os.environ.get('NO_PROXY', '')},{os.environ.get('no_proxy', '')}"
    direct = {"127.0.0.1", "localhost", *filter(None, before.split(","))}
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(sorted(direct))


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a library in this process that reads the environment itself; as before afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with `extra`, for a child process."""
    return {**os.environ, **extra}


def export_spark_runtime(java_home: Path | None) -> None:
    """Let pyspark start this Java, and this very Python as its workers; None: the image or Glue brings its own."""
    if java_home is not None:
        os.environ["JAVA_HOME"] = str(java_home)
        os.environ["PYSPARK_PYTHON"] = sys.executable


def declare_spark_version(version: str) -> None:
    """Set what PyDeequ reads from the environment when it is imported."""
    os.environ["SPARK_VERSION"] = version


@dataclass(frozen=True, slots=True)
class Described:
    """One setting, for a person."""

    variable: str
    value: str
    meaning: str


def described(settings: Settings) -> list[Described]:
    """Every setting with its value now; secrets are masked, and an address that is unset is embedded."""
    rows = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"DEFTUNES_{name.upper()}"
        value = getattr(settings, name)
        rows.append(Described(variable, "(not set)" if value is None else str(value), field.description or ""))
    return rows
