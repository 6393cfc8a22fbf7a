"""Superset's dashboards from files, and back.

    python -m assets import FOLDER   files -> Superset: all or nothing; the same files again change nothing
    python -m assets export FOLDER   Superset -> files, after an edit in the browser

`files`, `faults` and `canonical` know documents only; `server`, `importing` and `exporting` need Superset.
"""
