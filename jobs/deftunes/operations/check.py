"""Reconciliation: whether readers see what a run was asked for, proved at the end of a DAG by data, not task states.

    landings in use  =  main  =  warehouse  =  gold

Each step is compared with the one before it, by what it holds and not by what a stage says of itself. Sales are
counted and summed over the interval's days, and in the BI view over its months, so the cost follows the interval.
Another pipeline may be on its way through the same warehouse: changes that it has not finished are waited for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from deftunes.adapters.catalog import Refs, rows_of, silver_table
from deftunes.adapters.warehouse import Dialect
from deftunes.core import layout
from deftunes.core.entities import Entity, entities_of
from deftunes.core.errors import DeftunesError, RetriableError
from deftunes.core.interval import Interval, midnight
from deftunes.core.stages import PipelineName
from deftunes.pipeline import expect_published
from deftunes.resources import Resources
from deftunes.state.bookkeeping import CHANGED, LOADED

Sums = dict[str, tuple[int, Decimal]]  # by currency: items, revenue

CHECK = "check"  # in the record of runs, beside the stages
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What readers see of an entity. `sales` are those of the interval, for sessions: items and revenue by currency."""

    entity: Entity
    batch_id: str | None
    sales: Sums | None = None


def check(
    resources: Resources, name: PipelineName, asked: Interval, *, on_wait: Callable[[BaseException], None]
) -> Iterator[Reconciliation]:
    """Prove for each entity of a pipeline that gold shows the landings in use for an interval.

    Looks again for as long as `model` waits for its lock (`lock_timeout`); `on_wait` gets the reason, once an entity.

    Raises:
        DeftunesError: something is missing, or two zones do not agree; names it, and the next command.
        RetriableError: in all that time gold did not show what another run loaded.
    """

    def report_once(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome and (reason := state.outcome.exception()):
            on_wait(reason)

    until_reconciled = Retrying(
        retry=retry_if_exception_type(RetriableError),
        stop=stop_after_delay(resources.settings.lock_timeout),
        wait=wait_fixed(_PAUSE_SECONDS),
        before_sleep=report_once,
        reraise=True,
    )
    for entity in entities_of(name):
        resources.begin(CHECK, entity)
        yield until_reconciled(_reconcile, resources, name, entity, asked)


def _reconcile(resources: Resources, name: PipelineName, entity: Entity, asked: Interval) -> Reconciliation:
    command = f"deftunes run {name}"
    batch = expect_published(resources, entity, asked, command)
    run_again = f"run: {command} --start {asked.start} --end {asked.end}"
    table = silver_table(resources.catalog, entity)
    on_main = Refs(table).batch_of(batch.base)
    _expect_modelled(resources, entity, on_main, run_again)
    if rows_of(table) and resources.warehouse.dialect is Dialect.POSTGRES:  # on Redshift it is the same table
        _expect_rows(resources, entity, run_again)
    sales = None if entity.is_snapshot else _sales(resources, batch.interval, run_again)
    return Reconciliation(entity=entity, batch_id=on_main, sales=sales)


def _expect_modelled(resources: Resources, entity: Entity, on_main: str | None, run_again: str) -> None:
    loaded, pending = resources.warehouse.query(
        f"select (select batch_id from {LOADED} where entity = '{entity}'), "
        f"(select count(*) from {CHANGED} where entity = '{entity}')"
    ).rows[0]
    if loaded != on_main:
        raise RetriableError(
            f"expected the warehouse to hold batch {on_main} of {entity}, which main holds, got {loaded}. "
            f"Unless another run is bringing it right now, {run_again}"
        )
    if pending:
        raise RetriableError(
            f"expected gold to show all that was loaded of {entity}, got {pending} changes that it does not show. "
            f"Unless another run is bringing them right now, {run_again}"
        )


def _expect_rows(resources: Resources, entity: Entity, run_again: str) -> None:
    if not resources.warehouse.query(f"select 1 from {layout.DATABASE}.{entity} limit 1").rows:
        raise DeftunesError(
            f"expected the rows of {entity} in the warehouse, which main holds, got an empty table {layout.DATABASE}."
            f"{entity}: did somebody empty it? {run_again[0].upper()}{run_again[1:]}"
        )


def _sales(resources: Resources, interval: Interval, run_again: str) -> Sums:
    """Sales of an interval, the same in silver, in the fact and in a BI view; one statement sees one state."""
    months = Interval(interval.start.replace(day=1), _month_after(interval.end))
    fact = f"{layout.SERVING_SCHEMA}.fact_session"
    found: dict[str, Sums] = {"silver": {}, "fact": {}, "fact, by month": {}, "view, by month": {}}
    answer = resources.warehouse.query(
        f"select 'silver', currency, count(*), sum(price) from {layout.DATABASE}.{Entity.SESSIONS} "
        f"where session_start_time >= '{midnight(interval.start)}' and session_start_time < '{midnight(interval.end)}' "
        "group by currency union all "
        f"select 'fact', currency, count(*), sum(price) from {fact} "
        f"where session_date >= '{interval.start}' and session_date < '{interval.end}' group by currency union all "
        f"select 'fact, by month', currency, 0, sum(price) from {fact} "
        f"where session_date >= '{months.start}' and session_date < '{months.end}' group by currency union all "
        f"select 'view, by month', currency, 0, sum(total_sales) from {layout.BI_SCHEMA}.sales_per_country_vw "
        f"where session_year * 12 + session_month >= {_month_number(months.start)} "
        f"and session_year * 12 + session_month < {_month_number(months.end)} group by currency"
    )
    for where, currency, items, revenue in answer.rows:
        found[where][currency] = (items, revenue)
    for one, other in (("silver", "fact"), ("fact, by month", "view, by month")):
        if found[one] != found[other]:
            raise DeftunesError(
                f"expected the same sales of {interval} in the {one} and in the {other}, got "
                f"{_describe(found[one])} and {_describe(found[other])}; {run_again}"
            )
    return found["fact"]


def _month_after(end: date) -> date:
    """The first day of the month after an exclusive end's last day."""
    last = date.fromordinal(end.toordinal() - 1)
    return date(last.year + last.month // 12, last.month % 12 + 1, 1)


def _month_number(month: date) -> int:
    return month.year * 12 + month.month


def _describe(sums: Sums) -> str:
    parts = (f"{items} items {revenue} {currency}" for currency, (items, revenue) in sorted(sums.items()))
    return ", ".join(parts) or "none"
