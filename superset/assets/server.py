"""Superset itself, without its web server: the application, and the user who owns what comes from files."""

import io
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from superset.app import create_app

from assets.files import METADATA, Document, document_of

OWNER = "admin"


@contextmanager
def superset(*, prepare: bool) -> Iterator[None]:
    """The application's context, as the owner; `prepare`: after migrations, with permissions and roles up to date.

    Only an owner may save in the browser, and an import needs a user of the database with the role Admin: so it is one
    user for both. Without a password in SUPERSET_ADMIN_PASSWORD nobody can log in as this one.
    """
    logging.disable(logging.ERROR)  # what is said is said here
    with redirect_stdout(io.StringIO()):  # Superset's word about which settings it has found
        app = create_app()
    with app.app_context():
        # Parts of Superset can be imported only where the application is there.
        from flask_migrate import upgrade
        from superset import appbuilder, security_manager
        from superset.utils.core import override_user

        if prepare:
            upgrade()
            appbuilder.add_permissions(update_perms=True)
            security_manager.sync_role_definitions()
        password = os.environ.get("SUPERSET_ADMIN_PASSWORD")
        user = security_manager.find_user(username=OWNER) or security_manager.add_user(
            OWNER, "Files", "in git", f"{OWNER}@localhost", security_manager.find_role("Admin"),
            password or secrets.token_urlsafe(32),
        )  # fmt: skip
        if password:
            security_manager.reset_password(user.id, password)
        with override_user(user):
            yield


def exported() -> Iterator[tuple[str, Document]]:
    """What Superset exports, by the name that it gives each file."""
    from superset.commands.export.assets import ExportAssetsCommand

    content: Any
    for name, content in ExportAssetsCommand().run():
        if name != METADATA:
            yield name, document_of(content())
