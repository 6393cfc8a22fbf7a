"""Every setting of the resources, each with its default; the only reader of the environment.

A service whose address is unset is embedded: `deftunes.embedded` starts it and fills the address in.
"""

import difflib
import os
import pwd
import re
import resource
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deftunes.core.addresses import database_address, http_address, lake_address
from deftunes.core.errors import BadUsageError, DeftunesError
from deftunes.core.failpoints import Failpoint

REPOSITORY = Path(__file__).resolve().parents[3]
# Control characters, half of a character (what is no UTF-8 comes as these), line and paragraph separators.
_UNREADABLE = {"Cc", "Cs", "Zl", "Zp"}
_NOT_VISIBLE_ASCII = re.compile(r"[^\x21-\x7e]")
USER_WITHOUT_NAME = "deftunes"
_FILES = 65_536
LEAST_FILES = 64
SPARK_FILES = 512  # its class path alone has 250 jars
_LEAST_MEMORY = 512  # MiB; Spark itself refuses less than 450


def _credential(secret: SecretStr) -> SecretStr:
    """What is sent in a header: RFC 6750 and AWS know visible ASCII only."""
    if _NOT_VISIBLE_ASCII.search(secret.get_secret_value()):
        raise ValueError("expected visible ASCII characters, got a blank or another character")
    return secret


def _dsn(secret: SecretStr, *, schemes: tuple[str, ...]) -> SecretStr:
    return SecretStr(database_address(secret.get_secret_value(), schemes))


def _memory(text: str) -> str:
    if int(text[:-1]) * {"m": 1, "g": 1024}[text[-1]] < _LEAST_MEMORY:
        raise ValueError(f"expected at least {_LEAST_MEMORY}m, which Spark needs, got less")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
# A week is longer than anything here may wait, and shorter than what PostgreSQL and sockets take for a timeout.
Seconds = Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)]
Credential = Annotated[SecretStr, AfterValidator(_credential)]
Server = Annotated[str, AfterValidator(partial(http_address, with_path=False))]


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
    songs_dsn: Annotated[SecretStr, AfterValidator(partial(_dsn, schemes=("postgresql", "postgres")))] | None = Field(
        default=None, description="libpq string of the PostgreSQL that holds deftunes.songs"
    )
    api_url: Annotated[str, AfterValidator(partial(http_address, with_path=True))] | None = Field(
        default=None, description="base URL of the Purchase API"
    )
    api_token: Credential | None = Field(default=None, description="bearer token of the Purchase API, if it wants one")
    warehouse_dsn: (
        Annotated[SecretStr, AfterValidator(partial(_dsn, schemes=("postgresql", "postgres", "redshift")))] | None
    ) = Field(default=None, description="libpq string of the warehouse; redshift:// for Redshift")
    lake: Annotated[str, AfterValidator(lake_address)] | None = Field(
        default=None, description="s3://bucket/prefix of the lake"
    )
    lake_access_key_id: Credential | None = Field(
        default=None, description="key of the lake's S3 where it is not AWS's own"
    )
    lake_secret_access_key: Credential | None = Field(default=None, description="secret to lake_access_key_id")
    aws_endpoint_url: Server | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL", "aws_endpoint_url"),
        description="endpoint of a local AWS",
    )
    aws_endpoint_url_s3: Server | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "aws_endpoint_url_s3"),
        description="endpoint of a local S3",
    )
    aws_region: str = Field(
        default="us-east-1",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION", "aws_region"),
        description="region of the lake and the catalog",
    )
    dbt_project: Path = Field(default=REPOSITORY / "dbt_modeling", description="folder of the dbt project")
    dashboards: Path = Field(
        default=REPOSITORY / "superset" / "bundle",
        description="folder of what the dashboards show, as Superset's bundle",
    )

    # What is accepted
    # Of more than 15 digits a rule's number has no SQL that judges as Deequ does.
    max_price: Annotated[Decimal, Field(ge=0, le=10**10, decimal_places=10, max_digits=15)] = Field(
        default=Decimal(2), description="highest price of an item; above: quarantine"
    )
    max_rejected: Share = Field(default=0.05, description="share of rejected records above which a batch is refused")
    max_shrink: Share = Field(
        default=0.2, description="share of rows an answer may lack, compared with the landing in use"
    )
    look_back: Annotated[int, Field(ge=0, le=3_650)] = Field(
        3, description="days before --start that are read again for sessions"
    )

    # How sources are asked
    http_budget: Seconds = Field(default=120.0, description="seconds a failing request is retried")
    http_timeout: Annotated[Seconds, Field(gt=0)] = Field(
        30.0, description="seconds to wait for a connection or the next bytes"
    )
    http_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8, description="requests to the Purchase API at once"
    )
    http_date: bool = Field(
        default=True, description="whether the API's clock (`Date`) dates what it sends; no: this machine's"
    )
    http_max_pages: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="pages an answer of the API may have"
    )
    http_max_empty_pages: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=100, description="pages in a row that may bring no new record"
    )
    songs_full_after: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        30, description="incremental songs landings between full reads"
    )

    # What runs transform and quality, and the warehouse
    engine: Literal["auto", "embedded", "spark"] = Field(
        default="auto", description="what runs transform and quality; auto: Spark on Glue and for large batches"
    )
    engine_memory: Annotated[str, Field(pattern=r"^[0-9]{1,7}[mg]$"), AfterValidator(_memory)] = Field(
        default="2g", description="memory of the embedded engine; more goes to the disk"
    )
    spark_memory: Annotated[str, Field(pattern=r"^[0-9]{1,7}[mg]$"), AfterValidator(_memory)] = Field(
        default="2g", description="heap of the Spark driver"
    )
    spark_provided: bool = Field(
        default=False, description="whether Java and jars for Spark are already installed, as on Glue"
    )
    java_home: Path | None = Field(
        default=None, validation_alias=AliasChoices("JAVA_HOME", "java_home"), description="a Java 17 of your own"
    )
    spark_master: str | None = Field(default=None, description="Spark master; unset: local[*], or what Glue has set")
    lock_timeout: Seconds = Field(30.0, description="seconds `load`, `model` and `check` wait for another run")

    failpoint: Failpoint | None = Field(default=None, description="for drills only: where to kill this process")

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: Any, info: ValidationInfo) -> Any:
        """Blanks and line ends around a value are no part of it: files and secret stores add them."""
        if not isinstance(value, str):
            return value
        value = value.strip()
        if any(unicodedata.category(character) in _UNREADABLE for character in value):
            raise ValueError("expected text of one line, got a control character, or bytes that are no UTF-8")
        assert info.field_name is not None
        return value or cls.model_fields[info.field_name].get_default()


def read_settings() -> Settings:
    """The settings from the environment.

    Raises:
        BadUsageError: a value cannot be read; names the variable, what was expected and what came.

    """
    _refuse_misspelt()
    try:
        return Settings()
    except ValidationError as error:
        # A value is never quoted: it may be a secret, or an address that holds one.
        problems = "; ".join(
            f"{_variable(str(detail['loc'][0]))}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise BadUsageError(f"a setting cannot be read: {problems}. `deftunes env` lists every setting") from None


# Exported to dbt, which this process runs.
_OF_DBT = {f"DEFTUNES_WAREHOUSE_{name}" for name in ("HOST", "PORT", "DATABASE", "USER", "METHOD")}
_ALIKE = 0.92  # one letter missing, added, or in another's place


def _refuse_misspelt() -> None:
    """Refuse what is nearly a setting: it would be left out, and something embedded answer in the real one's place.

    Other names with our prefix are others' affair: Kubernetes makes some for a service that is called so.
    """
    known = {_variable(name) for name in Settings.model_fields}
    for name in sorted(os.environ):
        upper = name.upper()
        if upper.startswith("DEFTUNES_") and upper not in known | _OF_DBT:
            for meant in difflib.get_close_matches(upper, known, 1, _ALIKE):
                raise BadUsageError(f"expected a setting that `deftunes env` lists, got {name}: did you mean {meant}?")


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


def user_name() -> str | None:
    """The name that this machine has for the user of this process; None in a container that runs as any number."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None


def prepare_process(settings: Settings) -> None:
    """Give this process what libraries take for granted: a home, a user's name, a temporary folder, open files.

    A container may run as a user whom no file of the system knows, and a shell may allow few files.

    Raises:
        DeftunesError: it may open too few files.
        OSError: there is no place for temporary files.
    """
    try:
        home = str(settings.home.absolute())
    except FileNotFoundError:
        raise DeftunesError(
            "expected to work in a folder that is there, got one that was deleted. Change to another one"
        ) from None
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = home
    if user_name() is None:
        os.environ.setdefault("USER", USER_WITHOUT_NAME)
        os.environ.setdefault("LOGNAME", os.environ["USER"])
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        folder = settings.home.expanduser().absolute() / "tmp"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    expect_open_files(LEAST_FILES)


def expect_open_files(least: int) -> int:
    """How many files this process may have open at once.

    Raises:
        DeftunesError: fewer than `least`.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _FILES
    if allowed < least:
        raise DeftunesError(
            f"expected that this process may have {least} files open at once, got {allowed}. Raise the limit of this "
            "shell or container, for example by `ulimit -n 4096`"
        )
    return allowed


def expect_interpreter() -> str:
    """The Python of this process, which starts others: services, Spark's workers.

    Raises:
        DeftunesError: this user may not start it: it is where only another one may look.
    """
    if not os.access(sys.executable, os.X_OK):
        raise DeftunesError(
            f"expected that uid {os.geteuid()} may start {Path(sys.executable).resolve()}, got that it may not. Run as "
            "the user who owns it, or set up the checkout with a Python that every user may run"
        )
    return sys.executable


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
    """Let pyspark start this Java, and this very Python as its workers; None: the image or Glue brings its own.

    Raises:
        DeftunesError: this user may not start this Python.
    """
    if java_home is not None:
        os.environ["JAVA_HOME"] = str(java_home)
        os.environ["PYSPARK_PYTHON"] = expect_interpreter()
        # A Spark of this machine, or options for it, are not for the one that is pinned here.
        for name in ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS"):
            os.environ.pop(name, None)


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
        value = getattr(settings, name)
        rows.append(Described(_variable(name), "(not set)" if value is None else str(value), field.description or ""))
    return rows


def redacted(text: str) -> str:
    """The text without any secret that this process was given. A second line of defence: no message should hold one."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


_SHORTEST_SECRET = 5  # what is shorter is part of many a word, like the embedded S3's key `test`
_OF_LIBRARIES = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD"}
_PROXIES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"}
_PASSWORDS = (
    re.compile(r"://[^/@]*?:([^/]*)@"),
    re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE),
)


def _secrets() -> set[str]:
    own = {_variable(name) for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    found = set()
    for name, value in os.environ.items():
        if name.upper() in own | _OF_LIBRARIES:
            found |= {value, value.strip()}
        if name.upper() in own | _PROXIES:
            found |= {match.strip("'") for pattern in _PASSWORDS for match in pattern.findall(value)}
    found |= {unquote(secret) for secret in found}
    return {secret for secret in found if len(secret) >= _SHORTEST_SECRET}


def _variable(name: str) -> str:
    """The environment variable of a setting, by its field's name or an alias of it."""
    field = Settings.model_fields.get(name)
    if field is None:  # an alias is the variable itself
        return name
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"DEFTUNES_{name.upper()}"
