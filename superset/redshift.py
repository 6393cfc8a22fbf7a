"""Log in to Redshift Serverless as the role that this process has: AWS hands out a password for minutes.

    redshift://<workgroup>.<account>.<region>.redshift-serverless.amazonaws.com:5439/<database>?iam=true

The address means the same to the stages, so both read one secret.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.engine.url import URL

_MARGIN = timedelta(minutes=1)  # a password is not used in the last minute before it expires
_lock = threading.Lock()  # all threads of the server ask for one address
_held: dict[tuple[str, str], dict[str, Any]] = {}


def wants_role(uri: "URL") -> bool:
    """Whether the address asks to be opened as a role."""
    return bool(uri.get_backend_name() == "redshift" and uri.query.get("iam") == "true")


def as_role(uri: "URL") -> "URL":
    """The address with the user and the password of the hour, and without the word that is ours."""
    host, database = str(uri.host), str(uri.database)
    with _lock:
        held = _held.get((host, database))
        if held is None or held["expiration"] - _MARGIN < datetime.now(UTC):
            held = _held[host, database] = _credentials(host, database)
    return uri.difference_update_query(["iam"]).set(username=held["dbUser"], password=held["dbPassword"])


def _credentials(host: str, database: str) -> dict[str, Any]:
    import boto3

    workgroup, _, region = host.split(".")[:3]
    client = boto3.client("redshift-serverless", region_name=region)
    found: dict[str, Any] = client.get_credentials(workgroupName=workgroup, dbName=database, durationSeconds=900)
    return found
