"""Silver, a warehouse and the two stages between them, for tests."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from deftunes.adapters.catalog import open_catalog
from deftunes.adapters.lake import open_lake
from deftunes.adapters.warehouse import Warehouse, open_warehouse
from deftunes.config import REPOSITORY, Settings
from deftunes.entities import Entity
from deftunes.interval import Interval
from deftunes.load import Loaded, load
from deftunes.model import Modelled, model
from support.silver import Silver

PROJECT = REPOSITORY / "dbt_modeling"


@dataclass(frozen=True)
class WarehouseEnd:
    """What runs from silver's `main` to gold."""

    silver: Silver
    warehouse: Warehouse
    work: Path

    def load(self, *entities: Entity) -> list[Loaded]:
        """Load these entities, or all."""
        return [
            load(self.silver.catalog, self.silver.lake, self.warehouse, entity) for entity in entities or tuple(Entity)
        ]

    def model(self, start: date, end: date, **options: bool) -> Modelled:
        """Model these days."""
        return model(self.warehouse, Interval(start, end), project=PROJECT, work=self.work, **options)


def open_warehouse_end(settings: Settings, work: Path, *, lock_timeout: float = 5) -> WarehouseEnd:
    """Over the stack's empty parts. `work` takes what dbt writes; shared, the project is parsed once."""
    assert settings.warehouse_dsn
    warehouse = open_warehouse(settings.warehouse_dsn.get_secret_value(), lock_timeout=lock_timeout)
    return WarehouseEnd(Silver(open_catalog(settings), open_lake(settings)).create(), warehouse, work)
