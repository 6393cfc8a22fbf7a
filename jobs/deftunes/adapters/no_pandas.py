"""Commands without pandas, which is installed wherever Spark is.

pyarrow looks for it when it makes its first array, and importing it takes a second. Of all that runs here only Spark's
own Python side uses it.
"""

import sys
from importlib.abc import MetaPathFinder


class _NoPandas(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: object = None) -> None:  # noqa: ARG002 - Python's own
        if name == "pandas":
            raise ModuleNotFoundError("pandas is hidden from this process, see deftunes.adapters.no_pandas")


_finder = _NoPandas()


def hide_pandas() -> None:
    """From here on nothing finds pandas; what has imported it keeps it."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def show_pandas() -> None:
    """It can be imported again."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
