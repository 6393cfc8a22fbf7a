"""Silver, a warehouse and the two stages between them, for tests."""

import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from deftunes.adapters.catalog import open_catalog
from deftunes.adapters.lake import open_lake
from deftunes.adapters.warehouse import Warehouse
from deftunes.adapters.warehouse_drivers import open_warehouse
from deftunes.core import layout
from deftunes.core.entities import Entity
from deftunes.core.interval import Interval
from deftunes.core.settings import REPOSITORY
from deftunes.load.stage import Loaded, load
from deftunes.model.stage import Modelled, model
from support.silver import Silver

if TYPE_CHECKING:
    from support.stack import Stack

PROJECT = REPOSITORY / "dbt_modeling"


@dataclass(frozen=True)
class WarehousePipeline:
    """What runs from silver's `main` to gold."""

    silver: Silver
    warehouse: Warehouse
    work: Path
    project: Path = PROJECT

    def load(self, *entities: Entity) -> list[Loaded]:
        """Load these entities, or all."""
        return [
            load(self.silver.catalog, self.silver.lake, self.warehouse, entity) for entity in entities or tuple(Entity)
        ]

    def with_view_changed(self, view: str, old: str, new: str) -> Self:
        """The same with another release's dbt project, in which a BI view has another text."""
        project = self.work / f"project-{uuid4().hex}"
        shutil.copytree(self.project, project)
        path = project / "models" / "bi_views" / f"{view}.sql"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return replace(self, project=project)

    def model(self, start: date, end: date, **options: bool) -> Modelled:
        """Model these days."""
        return model(self.warehouse, Interval(start, end), project=self.project, work=self.work, **options)


def new_warehouse_pipeline(
    stack: "Stack", work: Path, *, lock_timeout: float = 5, dsn: str | None = None
) -> WarehousePipeline:
    """Empty tables, schemas and a lake of its own on the stack. `work` is dbt's; shared, the project is parsed once.

    `dsn` is another warehouse than the stack's, which stays as it is.

    Dropping what these stages made takes a tenth of the time that new databases take.
    """
    settings = stack.settings
    assert settings.warehouse_dsn
    assert settings.lake
    settings = settings.model_copy(update={"lake": f"{settings.lake.rstrip('/')}/{uuid4().hex}"})
    catalog = open_catalog(settings)
    catalog.create_namespace_if_not_exists(layout.DATABASE)
    for name in catalog.list_tables(layout.DATABASE):
        catalog.drop_table(name)
    if dsn is not None:
        warehouse = open_warehouse(dsn, lock_timeout=lock_timeout)
        return WarehousePipeline(Silver(catalog, open_lake(settings)).create(), warehouse, work)
    warehouse = open_warehouse(settings.warehouse_dsn.get_secret_value(), lock_timeout=lock_timeout)
    with warehouse.hold(exclusive=True) as session, session.transaction():
        for schema in (layout.DATABASE, layout.CONTROL_SCHEMA, layout.SERVING_SCHEMA, layout.BI_SCHEMA):
            session.run(f"drop schema if exists {schema} cascade")
    return WarehousePipeline(Silver(catalog, open_lake(settings)).create(), warehouse, work)
