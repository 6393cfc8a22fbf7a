"""What PostgreSQL's driver lets through: questions that cannot write, and errors that quote no row."""

import io
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core.errors import DeftunesError

if TYPE_CHECKING:
    from support.stack import Stack


@pytest.fixture
def warehouse(stack: "Stack") -> Iterator[Warehouse]:
    assert stack.settings.warehouse_dsn
    warehouse = open_warehouse(stack.settings.warehouse_dsn.get_secret_value())
    with warehouse.hold(exclusive=True) as session, session.transaction():
        session.run("create table held (email text constraint one_each primary key, price numeric)")
        session.run("insert into held values ('a@b.example', 1.50), ('100%s', null)")
    yield warehouse
    with warehouse.hold(exclusive=True) as session, session.transaction():
        session.run("drop table held")


@pytest.mark.parametrize(
    ("question", "columns", "rows"),
    [
        ("select price from held order by 1;", ("price",), [(Decimal("1.50"),), (None,)]),
        ("-- by key\ntable held limit 1", ("email", "price"), [("a@b.example", Decimal("1.50"))]),
        ("(values (1, '%s'))", ("column1", "column2"), [(1, "%s")]),
        ("with few as (select 5 % 3 as two) select * from few -- done", ("two",), [(2,)]),
        ("show default_transaction_read_only", ("default_transaction_read_only",), [("off",)]),
        ("select 'a;b' as text where false", ("text",), []),
    ],
)
def test_what_returns_rows_is_answered(
    warehouse: Warehouse, question: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]
) -> None:
    answer = warehouse.query(question)
    assert (answer.columns, answer.rows) == (columns, rows)


@pytest.mark.parametrize("options", ["", "analyze ", "(analyze, format json) "])
def test_a_plan_is_explained(warehouse: Warehouse, options: str) -> None:
    assert "held" in str(warehouse.query(f"explain {options}select * from held").rows)


@pytest.mark.parametrize(
    "text",
    [
        "delete from held returning *",
        "with gone as (delete from held returning *) select * from gone",
        "explain analyze delete from held",
        "commit; delete from held",
        "select 1; commit; delete from held; commit",
        "set default_transaction_read_only = off; commit; delete from held",
        "set transaction read write; delete from held; commit",
        "set session characteristics as transaction read write; commit; delete from held",
        "select set_config('transaction_read_only', 'off', false)",
        "rollback; begin read write; delete from held; commit",
        "do $$ begin commit; delete from held; end $$",
        "close answer; commit; delete from held",
        "select 1) to stdout; commit; delete from held",
        "$$; end $$; commit; delete from held",
        "'; commit; delete from held; --",
        "copy held to program 'cat'",
        "drop table held",
        "select 1; select 2",
        "",
    ],
)
def test_nothing_else_is_run(warehouse: Warehouse, text: str) -> None:
    before = warehouse.query("select xmin::text, held.* from held")
    with pytest.raises(DeftunesError) as refused:
        warehouse.query(text)
    assert type(refused.value) is DeftunesError
    assert warehouse.query("select xmin::text, held.* from held") == before


def test_several_statements_are_refused_with_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(DeftunesError, match="expected one statement that returns rows, got another"):
        warehouse.query("select 1; select 2")


def test_a_refused_row_is_named_by_its_table_and_constraint_alone(warehouse: Warehouse) -> None:
    with pytest.raises(DeftunesError) as refused, warehouse.hold(exclusive=True) as session, session.transaction():
        session.run("insert into held values ('a@b.example', 2)")
    assert str(refused.value).endswith(
        'duplicate key value violates unique constraint "one_each" (table held, constraint one_each)'
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'"c@d.example","dear"', 'invalid input syntax for type numeric: "..."'),
        (b'"c@d.example","de""ar"', 'invalid input syntax for type numeric: "..."'),
        (b'"c@d.example","1","dear"', "extra data after last expected column"),
        (b'"a@b.example","1"', '"one_each" (table held, constraint one_each)'),
        (b',"1"', "(table held, column email)"),
    ],
)
def test_a_failing_copy_quotes_no_row(warehouse: Warehouse, line: bytes, told: str) -> None:
    with pytest.raises(DeftunesError) as refused, warehouse.hold(exclusive=True) as session, session.transaction():
        session.copy("copy held from stdin (format csv, null '')", io.BytesIO(line))  # type: ignore[arg-type]
    message = str(refused.value)
    assert message.endswith(told)
    assert "example" not in message
    assert "dear" not in message
