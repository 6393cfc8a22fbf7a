"""Superset into files: each asset over the file of its uuid; a file that says the same already is not touched."""

from pathlib import Path

from assets.canonical import file_name_of, text_of
from assets.files import Document, document_of, kind_of, texts_in
from assets.server import exported


def export_to(folder: Path) -> list[str]:
    """Write what differs; a line per file written."""
    texts, _ = texts_in(folder)
    files: dict[str, tuple[Path, Document]] = {}
    for name, text in texts.items():
        document = document_of(text)
        files[str(document.get("uuid"))] = (folder / name, document)
    written = []
    for name, document in exported():
        new = folder / kind_of(name) / file_name_of(document)
        path, old = files.get(str(document["uuid"]), (new, {}))
        text = text_of(document, old)
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            written.append(f"written {path}")
    return written
