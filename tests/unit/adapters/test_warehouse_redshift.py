"""Who a process is to Redshift: a user with a password, or the role it runs as."""

from typing import Any

import pytest
import redshift_connector
from redshift_connector.iam_helper import IamHelper
from redshift_connector.redshift_property import RedshiftProperty

from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.adapters.warehouse_redshift import RedshiftWarehouse
from deftunes.core.errors import BadUsageError

HOST = "deftunes.123456789012.us-east-1.redshift-serverless.amazonaws.com"


def connected(dsn: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def connect(**parameters: Any) -> None:
        seen.update(parameters)
        raise OSError("no Redshift here")

    monkeypatch.setattr(redshift_connector, "connect", connect)
    with pytest.raises(Exception, match="no Redshift here"):
        RedshiftWarehouse(dsn, lock_timeout=1).query("select 1")
    return seen


def test_a_password_is_passed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = connected("redshift://etl:p%40ss@host/db", monkeypatch)
    assert (seen["user"], seen["password"], "iam" in seen) == ("etl", "p@ss", False)


def test_a_role_needs_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = connected(f"redshift://{HOST}:5439/deftunes?iam=true", monkeypatch)
    assert seen["iam"] is True
    assert {"user", "password"}.isdisjoint(seen)


def test_the_driver_finds_the_workgroup_in_the_host() -> None:
    info = RedshiftProperty()
    for name, value in {"host": HOST, "iam": True, "db_name": "deftunes"}.items():
        info.put(name, value)
    asked: list[RedshiftProperty] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IamHelper, "set_iam_credentials", asked.append)
        IamHelper.set_iam_properties(info)
    assert (asked[0].serverless_work_group, asked[0].region) == ("deftunes", "us-east-1")


@pytest.mark.parametrize(
    ("dsn", "method"), [(f"redshift://{HOST}/db?iam=true", "iam_role"), ("redshift://u:p@h/db", "database")]
)
def test_dbt_logs_in_the_same_way(dsn: str, method: str) -> None:
    assert RedshiftWarehouse(dsn, lock_timeout=1).dbt_environment()["DEFTUNES_WAREHOUSE_METHOD"] == method


def test_neither_user_nor_role_is_refused() -> None:
    with pytest.raises(BadUsageError, match="iam=true"):
        RedshiftWarehouse(f"redshift://{HOST}/db", lock_timeout=1)


def test_an_address_without_a_database_is_bad_usage() -> None:
    with pytest.raises(BadUsageError, match="redshift://user:password@host:5439/database") as refused:
        open_warehouse("redshift://user:secret@host:5439")
    assert "secret" not in str(refused.value)


def test_the_password_reaches_dbt_unquoted() -> None:
    environment = open_warehouse("redshift://user:p%40ss@host/db").dbt_environment()
    assert environment["DBT_ENV_SECRET_WAREHOUSE_PASSWORD"] == "p@ss"
    assert environment["DEFTUNES_WAREHOUSE_PORT"] == "5439"
