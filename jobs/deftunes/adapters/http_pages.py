"""How far an answer of several pages is followed: a server that names a next page for ever has an end."""

from dataclasses import dataclass

from deftunes.adapters.http_failures import redacted_url
from deftunes.adapters.jsonarray import JsonArray
from deftunes.core.errors import DeftunesError


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBounds:
    """How many pages an answer may have, and how many of them in a row may bring nothing new."""

    pages: int = 10_000
    empty: int = 100


DEFAULT_BOUNDS = PageBounds()


class PageCounter:
    """The pages of one answer."""

    def __init__(self, bounds: PageBounds) -> None:
        self._bounds = bounds
        self._asked: dict[str, None] = {}
        self._seen: set[bytes] = set()
        self._without_news = 0

    @property
    def asked(self) -> tuple[str, ...]:
        """The addresses of the pages, in order."""
        return tuple(self._asked)

    def ask(self, url: str) -> None:
        """Count a page before it is asked for.

        Raises:
            DeftunesError: it was asked for before, or there are too many.

        """
        if url in self._asked:
            raise DeftunesError(f"{redacted_url(url)}: expected a further page, got a link back to this one")
        if len(self._asked) >= self._bounds.pages:
            raise self._no_end(f"a link to one more after {len(self._asked)} pages", "DEFTUNES_HTTP_MAX_PAGES")
        self._asked[url] = None

    def receive(self, records: JsonArray, *, is_last: bool) -> None:
        """Look at a page that came.

        Raises:
            DeftunesError: too many in a row had no records, or those of a page before.

        """
        if is_last:
            return
        digest = records.digest()
        has_news = len(records) > 0 and digest not in self._seen
        self._seen.add(digest)
        self._without_news = 0 if has_news else self._without_news + 1
        if self._without_news >= self._bounds.empty:
            raise self._no_end(
                f"{self._without_news} pages in a row without new records", "DEFTUNES_HTTP_MAX_EMPTY_PAGES"
            )

    def _no_end(self, got: str, setting: str) -> DeftunesError:
        first = next(iter(self._asked))
        return DeftunesError(
            f"{redacted_url(first)}: expected a last page, got {got}. Nothing was changed; ask the API's owner, or "
            f"raise {setting} if it is right"
        )
