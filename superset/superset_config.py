"""Superset's settings: one gunicorn, its state in PostgreSQL, nothing from another host, nothing to edit.

    SUPERSET_* of the environment  ->  the names that Superset reads

What is not set here is as Superset has it.
"""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Flask, redirect, request
from sqlalchemy.engine.url import URL
from superset.utils.log import AbstractEventLogger

import redshift
import theme
from readers import VIEWER, Readers

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

HOME = "/superset/dashboard/deftunes/"


class Quiet(AbstractEventLogger):  # type: ignore[misc]  # Superset is in its own image
    """No row of a table for each click: nothing would ever delete them."""

    def log(self, *args: Any, **kwargs: Any) -> None:
        """Say nothing."""


# --- What it runs on ---

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]  # signs sessions, encrypts what Superset stores: no default
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_METADATA_URI"]
# Recycled, so that a password that was changed is missed within the hour, and everywhere at once.
SQLALCHEMY_ENGINE_OPTIONS = {"pool_pre_ping": True, "pool_recycle": 3600}
DATA_DIR = os.environ["SUPERSET_HOME"]
UPLOAD_FOLDER = ""  # else Superset makes one in its package, which is read-only
SUPERSET_WEBSERVER_TIMEOUT = 60  # as gunicorn's --timeout
CELERY_CONFIG = None  # no worker, no broker
RATELIMIT_STORAGE_URI = "memory://"
ROW_LIMIT = 10_000
SQLLAB_TIMEOUT = 30
SQL_MAX_ROW = 10_000
if CACHE_SECONDS := int(os.environ.get("SUPERSET_CACHE_SECONDS", "0")):  # where each question costs something
    DATA_CACHE_CONFIG = {
        "CACHE_TYPE": "FileSystemCache",
        "CACHE_DIR": f"{DATA_DIR}/answers",
        "CACHE_DEFAULT_TIMEOUT": CACHE_SECONDS,
        "CACHE_KEY_PREFIX": "answer-",
    }

# --- Who may do what ---

CUSTOM_SECURITY_MANAGER = Readers
EVENT_LOGGER = Quiet()

AUTH_ROLE_ADMIN = "Admin"
AUTH_USER_REGISTRATION = False
RATELIMIT_ENABLED = True  # Superset's own default asks for SUPERSET_ENV=production
if os.environ.get("SUPERSET_ANONYMOUS", "false") == "true":
    AUTH_ROLE_PUBLIC = VIEWER  # on one's own machine: a reader without login
FAB_ADD_SECURITY_API = False
FAB_API_SWAGGER_UI = False
ENABLE_CORS = False
PREVENT_UNSAFE_DB_CONNECTIONS = True
DATASET_IMPORT_ALLOWED_DATA_URLS: list[str] = []
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = os.environ.get("SUPERSET_HTTPS", "false") == "true"
ENABLE_PROXY_FIX = SESSION_COOKIE_SECURE  # behind a load balancer
PERMANENT_SESSION_LIFETIME = timedelta(hours=12)

FEATURE_FLAGS = {
    "ALERT_REPORTS": False,
    "DRILL_BY": False,
    "DRILL_TO_DETAIL": False,
    "DYNAMIC_PLUGINS": False,
    "EMBEDDABLE_CHARTS": False,
    "ENABLE_JAVASCRIPT_CONTROLS": False,
    "ENABLE_TEMPLATE_PROCESSING": False,
    "ESCAPE_MARKDOWN_HTML": True,
    "CSS_TEMPLATES": False,
    "SQLLAB_BACKEND_PERSISTENCE": False,
    "TAGGING_SYSTEM": False,
    "THUMBNAILS": False,
}
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "connect-src": ["'self'"],
        "default-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "img-src": ["'self'", "blob:", "data:"],
        "object-src": "'none'",
        "script-src": ["'self'", "'strict-dynamic'"],
        "style-src": ["'self'", "'unsafe-inline'"],  # emotion and antd write styles into the page
        "worker-src": ["'self'", "blob:"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # the load balancer's part
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []

# --- The warehouse: the bundle holds its address without a password ---


def DB_CONNECTION_MUTATOR(  # noqa: N802 - Superset's name
    uri: URL, params: dict[str, Any], username: str, security_manager: object, source: object
) -> tuple[URL, dict[str, Any]]:
    """Add the password of the hour: it is in no bundle and in no row of the metadata database."""
    if redshift.wants_role(uri):
        uri = redshift.as_role(uri)
    elif uri.password is None and "SUPERSET_WAREHOUSE_PASSWORD" in os.environ:
        uri = uri.set(password=os.environ["SUPERSET_WAREHOUSE_PASSWORD"])
    return uri, params


# --- How it looks ---

APP_NAME = "DeFtunes"
LANGUAGES: dict[str, dict[str, str]] = {}
CURRENCIES = ["USD", "EUR", "GBP"]
ENABLE_UI_THEME_ADMINISTRATION = False
EXTRA_CATEGORICAL_COLOR_SCHEMES = [theme.scheme(*theme.CATEGORIES)]
EXTRA_SEQUENTIAL_COLOR_SCHEMES = [{**theme.scheme(*theme.SEQUENCE), "isDiverging": False}]
THEME_DEFAULT = theme.LIGHT
THEME_DARK = theme.DARK


def FLASK_APP_MUTATOR(app: Flask) -> None:  # noqa: N802 - Superset's name
    """Let the root lead to the dashboard: Superset's own start page wants a login."""

    @app.before_request  # type: ignore[untyped-decorator]  # Flask is in Superset's image
    def home() -> "Response | None":
        return redirect(HOME) if request.path == "/" else None
