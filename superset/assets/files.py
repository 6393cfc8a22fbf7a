"""A bundle's files as documents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

REFUSED = 1
METADATA = "metadata.yaml"
KINDS = ("databases", "datasets", "charts", "dashboards")


def texts_in(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Each .yaml file's text by its path below the folder, and a line for each that is no text."""
    texts, unreadable = {}, []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).as_posix()
        try:
            texts[name] = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            unreadable.append(f"{name}: expected text in UTF-8: {error}")
    return texts, unreadable


def document_of(text: str) -> Document:
    """The document of a file.

    Raises:
        ValueError: it is no YAML, or no mapping.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"expected YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"expected a mapping, got {type(document).__name__}")  # noqa: TRY004 - a fault of the file
    return document


def kind_of(name: str) -> str:
    """The folder that a file is in."""
    return name.partition("/")[0]


def mapping(value: object) -> Mapping[Any, Any]:
    """The value if it is a mapping, else an empty one: what a field's type must be is Superset's schema to say."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The value as a list: its items, or itself alone, or nothing."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
