"""The `Link` header as RFC 8288 says (appendix B): where an answer goes on."""

import re
from urllib.parse import urljoin

_TARGET = re.compile(r"[ \t,]*<(?P<target>[^>]*)>")
# A parameter's name ends at white space too, its value is a quoted string (perhaps without its end) or what comes
# before the next delimiter.
_PARAMETER = re.compile(
    r'[ \t]*;[ \t;]*(?P<name>[^ \t=;,"]*)[ \t]*'
    r'(?:=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)(?:"|\\?$)|(?P<token>[^ \t;,"]*)))?[ \t]*'
)
_IANA = "http://www.iana.org/assignments/relation/"
_ESCAPED = re.compile(r"\\(.)")


class UnreadableLinkError(Exception):
    """A header that speaks of a next page and cannot be read."""


def next_targets(header: str, context: str) -> list[str]:
    """The addresses of the next page that the header names, each once; `context` is the address of the answer.

    Relations are compared without case, and `rel` may hold several. A link with an `anchor` is one of another document.

    Raises:
        UnreadableLinkError: to leave the text out could leave a page out.

    """
    targets = []
    position = 0
    while position < len(header):
        link = _TARGET.match(header, position)
        if not link:
            position = _skip(header, position)
            continue
        parameters, position = _parameters(header, link.end())
        anchor = parameters.get("anchor")
        is_ours = anchor is None or urljoin(context, anchor) == context
        # Some servers quote as Python does. A registered relation may be written as its address (RFC 8288, 2.1.1).
        relations = parameters.get("rel", "").strip("'").lower().removeprefix(_IANA).split()
        if "rel" not in parameters and "next" in parameters.get("rel*", "").lower():
            raise UnreadableLinkError(parameters["rel*"])
        if is_ours and "next" in relations:
            targets.append(urljoin(context, link["target"].strip()))
        if position < len(header) and header[position] != ",":
            position = _skip(header, position)
    return list(dict.fromkeys(targets))


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    """The parameters of one link by name in lower case, of each the first, and where they end."""
    found: dict[str, str] = {}
    while parameter := _PARAMETER.match(header, position):
        position = parameter.end()
        quoted = parameter["quoted"]
        value = (parameter["token"] or "") if quoted is None else _ESCAPED.sub(r"\1", quoted)
        found.setdefault(parameter["name"].lower(), value)
    return found, position


def _skip(header: str, position: int) -> int:
    """The end of a piece that is no link, at the next comma."""
    comma = header.find(",", position)
    end = len(header) if comma < 0 else comma + 1
    if "next" in header[position:end].lower():
        raise UnreadableLinkError(header[position:end].strip())
    return end
