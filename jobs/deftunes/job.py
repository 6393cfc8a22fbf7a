"""One call of one stage: every stage's entry is `run(resources, job)`, and this is the job."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deftunes.core.entities import Entity
from deftunes.core.stages import ExtractOptions, RunWindow

if TYPE_CHECKING:
    from deftunes.state.batches import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a stage is to do. `model` is for no entity; `transform`, `quality` and `publish` work on a planned batch."""

    window: RunWindow
    entity: Entity | None = None
    options: ExtractOptions = field(default_factory=ExtractOptions)
    batch: "Batch | None" = None

    def expect_entity(self) -> Entity:
        """The entity, for a stage that works on one."""
        assert self.entity is not None
        return self.entity

    def expect_batch(self) -> "Batch":
        """The planned batch, for a stage that works on one."""
        assert self.batch is not None
        return self.batch
