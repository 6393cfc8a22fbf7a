"""Spark's errors in our words: one sentence for what it says in a hundred lines, and which of them are transient."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark.errors import PySparkException, PythonException

from deftunes.adapters.failures import DISK_FULL_CODES, DISK_FULL_STATUS, is_transient
from deftunes.core.errors import DeftunesError, RetriableError

if TYPE_CHECKING:
    from deftunes.core.settings import Settings

# How the JVM's clients of S3 and Glue report an answer: SDK 1 (S3A) and, often without its code, SDK 2 (Iceberg).
# What is transient among these is decided by AWS's one table, in `adapters.failures`.
_ANSWER = re.compile(r"\(Service: [^,;]*[,;] Status Code: (\d+)(?:[,;] Error Code: ([A-Za-z0-9.]+))?")
# How they report that nobody answered: what java.net and Apache's HTTP client raise where the network fails.
_NO_ANSWER = (
    "Unable to execute HTTP request", "ConnectException", "ConnectTimeoutException", "NoHttpResponseException",
    "SocketException", "SocketTimeoutException", "Temporary failure in name resolution",
)  # fmt: skip
# The same clients raise these under the same heading, and no later try mends them.
_MISDIRECTED = ("PKIX path", "CertificateException", "No name matching", "SSLPeerUnverified", "UnknownHostException")
# How Iceberg says that another commit came first, however deep in what wraps it.
_COMMIT_LOST = (
    "CommitFailedException",
    "Missing required files to delete",
    "Cannot commit, found new delete",
    "Found conflicting",
    "Found new conflicting",
)
_DISK_FULL = ("No space left on device", "Disk quota exceeded")
_OUT_OF_FILES = "Too many open files"
_SHOWN = 500


@contextmanager
def spark_failures(settings: "Settings") -> Iterator[None]:
    """Translate Spark's errors.

    Raises:
        DeftunesError: Spark refused or failed; names the cause, and the setting where the machine lacked something.
        RetriableError: S3 or Glue did not answer, or another run's commit came first.
    """
    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        kind, text, remedy = _of_machine(error, settings) or _of_aws(str(error)) or _of_spark(error)
        raise kind(f"{text}. Nothing was published; {remedy}") from error


_Told = tuple[type[DeftunesError], str, str]


def _of_machine(error: Exception, settings: "Settings") -> _Told | None:
    message = str(error)
    if isinstance(error, Py4JNetworkError | ConnectionError) or "OutOfMemoryError" in message:
        return (
            DeftunesError,
            "Spark's JVM ended, most likely for want of memory: DEFTUNES_SPARK_MEMORY is " + settings.spark_memory,
            "run it again with more of it, or a shorter interval: deftunes backfill cuts a long one",
        )
    if any(words in message for words in _DISK_FULL):
        return (
            DeftunesError,
            f"the disk is full: Spark found no space for its temporary files, by default in {tempfile.gettempdir()}",
            "free space, or set TMPDIR to a folder on another disk",
        )
    if _OUT_OF_FILES in message:
        return DeftunesError, "Spark has too many open files", "raise the limit, for example by `ulimit -n 4096`"
    return None


def _of_aws(message: str) -> _Told | None:
    answer = _ANSWER.search(message)
    if answer:
        status, code = int(answer[1]), answer[2] or ""
        line = _around(message, answer[0])
        if code in DISK_FULL_CODES or status == DISK_FULL_STATUS:
            return DeftunesError, f"the disk of S3 is full: {line}", "free space there"
        if is_transient(code, status):
            return RetriableError, f"AWS failed Spark: {line}", "run the command again"
        return (
            DeftunesError,
            f"AWS refused Spark: {line}",
            "check DEFTUNES_LAKE, AWS_REGION, the credentials and their rights",
        )
    silent = next((words for words in _NO_ANSWER if words in message), None)
    if silent is None:
        return None
    if any(words in message for words in _MISDIRECTED):
        return DeftunesError, f"AWS was not asked: {_around(message, silent)}", "check AWS_ENDPOINT_URL"
    return RetriableError, f"AWS did not answer Spark: {_around(message, silent)}", "run the command again"


def _of_spark(error: Exception) -> _Told:
    cause = _cause(error)[:_SHOWN]
    if is_lost_commit(error):
        return RetriableError, f"another run changed the table meanwhile: {cause}", "run the command again"
    return DeftunesError, f"Spark failed: {cause}", "change what it names, then run the command again"


def is_lost_commit(error: Exception) -> bool:
    """Whether Iceberg refused a commit because another one came first."""
    return any(words in str(error) for words in _COMMIT_LOST)


def _around(message: str, words: str) -> str:
    """The line with these words, or what of it a message may show."""
    line = next((line for line in message.splitlines() if words in line), words)
    return line[max(0, line.find(words) - _SHOWN // 2) :][:_SHOWN].strip()


def _cause(error: Exception) -> str:
    """The line that says what happened; the first one is Py4J's or PySpark's own and never does."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if isinstance(error, PythonException):
        return _cause_in_worker(lines)
    thrown = (line.removeprefix(": ") for line in lines if line.startswith(": "))
    return next(thrown, lines[0].strip() if lines else repr(error))


def _cause_in_worker(lines: list[str]) -> str:
    """What was raised and where, from a Python traceback; not its message, which may quote a record."""
    where = max((number for number, line in enumerate(lines) if line.startswith("  File ")), default=0)
    raised = next((line for line in lines[where:] if not line.startswith(" ")), "an error")
    return f"{raised.partition(':')[0]} in a Python worker, {lines[where].strip()}"
