"""Files into Superset: all or nothing, and the same files again change nothing."""

import os
from collections.abc import Iterator, Mapping

import yaml

from assets.files import METADATA, document_of, kind_of
from assets.server import exported
from readers import VIEWER

# Beside what Superset gives a visitor: a log-in that works, the data of a chart as CSV and as a table, the menu.
_MORE = frozenset({
    ("can_csv", "Superset"), ("can_log", "Superset"), ("can_view_chart_as_table", "Dashboard"),
    ("menu_access", "Dashboards"),
})  # fmt: skip
# The columns that a table of the warehouse has: nobody who reads needs to know.
_LESS = frozenset({("can_external_metadata", "Datasource")})


class RefusedError(Exception):
    """Superset refuses the files; nothing has changed."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def import_from(texts: Mapping[str, str]) -> list[str]:
    """Import a bundle without faults; a line per asset that changed, and one for all.

    Raises:
        RefusedError: Superset found what this side did not.
    """
    from superset.commands.exceptions import CommandException
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    before = _assets()
    try:
        ImportAssetsCommand({name: _adapted(name, text) for name, text in texts.items()}).run()
    except CommandException as error:
        raise RefusedError(list(_lines_of(error))) from error
    _delete_what_left({str(document_of(text).get("uuid")) for text in texts.values()})
    _let_readers_see()
    after = _assets()
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    lines = [f"{'new' if key not in before else 'changed' if key in after else 'gone'} {key}" for key in changed]
    return [*lines, f"{len(after)} assets, {len(changed)} changed"]


def _adapted(name: str, text: str) -> str:
    """The file as this server wants it."""
    document = document_of(text)
    address = os.environ.get("SUPERSET_WAREHOUSE_URI")
    if kind_of(name) == "databases" and address:
        document["sqlalchemy_uri"] = address
    if kind_of(name) == "charts":
        # Explore stores a question when it opens a chart that has none; it would outlive a change of the file.
        document["query_context"] = None
    if name != METADATA and os.environ.get("SUPERSET_EDITABLE") == "true":
        document["is_managed_externally"] = False
    return yaml.safe_dump(document, sort_keys=False)


def _lines_of(error: Exception) -> Iterator[str]:
    """A line per fault: the import's error hides its cause, and that one its list."""
    cause = error.__cause__ or error
    for part in getattr(cause, "_exceptions", None) or [cause]:
        messages = getattr(part, "messages", None)
        if isinstance(messages, dict):
            yield from (f"{name}: {fault}" for name, fault in messages.items())
        else:
            yield f"{type(part).__name__}: {part}"


def _delete_what_left(uuids: set[str]) -> None:
    """Delete what came from a file that is gone, which an import never does; what a person has made stays."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    for model in (Dashboard, Slice, SqlaTable):
        for asset in db.session.query(model).filter(model.is_managed_externally.is_(True)):
            if str(asset.uuid) not in uuids:
                db.session.delete(asset)
    db.session.commit()


def _let_readers_see() -> None:
    """Give the readers' role what Superset gives a visitor and the datasets, and take what else it had.

    A role of our own, since Superset resets the one that it has for visitors to its own idea at each start.
    """
    from superset import db, security_manager
    from superset.connectors.sqla.models import SqlaTable

    role = security_manager.add_role(VIEWER)
    pairs = {*security_manager.PUBLIC_ROLE_PERMISSIONS, *_MORE} - _LESS
    wanted = [security_manager.add_permission_view_menu(*pair) for pair in sorted(pairs)]
    wanted += [
        security_manager.add_permission_view_menu("datasource_access", dataset.perm)
        for dataset in db.session.query(SqlaTable).order_by(SqlaTable.id)
    ]
    if set(role.permissions) != set(wanted):
        role.permissions = wanted
    db.session.commit()


def _assets() -> dict[str, tuple[str, str]]:
    """Every asset: its name, which has its id, and its content."""
    return {f"{kind_of(name)} {document['uuid']}": (name, yaml.safe_dump(document)) for name, document in exported()}
