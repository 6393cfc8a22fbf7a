"""The Link header in every form that RFC 8288 allows."""

from dataclasses import dataclass
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.adapters.http_links import UnreadableLinkError, next_targets

HERE = "http://api.example/users"
BLANKS = st.sampled_from(["", " ", "\t", "  "])
TOKENS = st.text("abcdefgxyz!#$&+-.^_`|~0189", min_size=1, max_size=8)
# What may stand in a quoted string, delimiters of the header above all.
QUOTED = st.lists(st.sampled_from([*'abn ,;<>="\\=/:', "next", "rel=next"]), max_size=8).map("".join)
RELATIONS = ["next", "Next", "NEXT", "prev", "last", "first", "self", "https://api.example/rels/next", "nextpage"]


@dataclass
class Link:
    """A link as a server may write it; `is_next`: what it says."""

    text: str
    target: str
    is_next: bool


@st.composite
def quoted(draw: st.DrawFn, value: str) -> str:
    """A quoted string; a backslash may stand before any character."""
    return '"' + "".join(f"\\{c}" if c in '"\\' or draw(st.integers(0, 9)) == 0 else c for c in value) + '"'


@st.composite
def parameter(draw: st.DrawFn, name: str, value: str) -> str:
    name = "".join(draw(st.sampled_from([c.lower(), c.upper()])) for c in name)
    is_token = bool(value) and all(c.isalnum() or c in "!#$&+-.^_`|~" for c in value)
    written = value if is_token and draw(st.booleans()) else draw(quoted(value))
    return f"{draw(BLANKS)};{draw(BLANKS)}{name}{draw(BLANKS)}={draw(BLANKS)}{written}"


@st.composite
def links(draw: st.DrawFn, number: int) -> Link:
    relations = draw(st.lists(st.sampled_from(RELATIONS), min_size=1, max_size=3))
    target = draw(st.sampled_from([f"/users?page={number}", f"?page={number}&a=1,2;b", f"{HERE}/{number}"]))
    anchor = draw(st.sampled_from([None, None, None, "", HERE, "#part", "/elsewhere"]))
    first = [draw(parameter("rel", " ".join(relations)))]
    others = [
        draw(parameter(draw(st.sampled_from(["title", "title*", "type", "hreflang", "relation"])), draw(QUOTED)))
        for _ in range(draw(st.integers(0, 3)))
    ]
    if draw(st.booleans()):
        others.append(f";{draw(BLANKS)}{draw(TOKENS)}x")  # a parameter without a value
    if anchor is not None:
        others.append(draw(parameter("anchor", anchor)))
    parameters = draw(st.permutations([*first, *others]))
    if draw(st.booleans()):
        parameters.append(draw(parameter("rel", "next")))  # a second rel counts for nothing
    if draw(st.booleans()):
        parameters.append(";")
    says_next = any(relation.lower() == "next" for relation in relations)
    return Link(f"<{target}>{''.join(parameters)}", target, says_next and anchor in (None, "", HERE))


@given(st.data())
@settings(max_examples=400)
def test_the_next_page_is_what_the_header_says(data: st.DataObject) -> None:
    made = [data.draw(links(number)) for number in range(data.draw(st.integers(0, 4)))]
    separator = data.draw(st.sampled_from([",", ", ", " ,\t", ",, "]))

    found = next_targets(separator.join(link.text for link in made), HERE)

    assert found == [urljoin(HERE, link.target) for link in made if link.is_next]


@given(st.lists(st.sampled_from([*'<>;,="\\ /', "rel", "next", "users"]), max_size=30).map("".join))
@settings(max_examples=400)
def test_no_text_breaks_the_reader(header: str) -> None:
    try:
        found = next_targets(header, HERE)
    except UnreadableLinkError:
        assert "next" in header.lower()
    else:
        assert len(found) <= header.lower().count("next")


@pytest.mark.parametrize("header", ["", ",", " , ,", "</a>", "</a>; rel", "nothing", "</a>; rel=prev; rel=next"])
def test_what_names_no_next_page_names_none(header: str) -> None:
    assert next_targets(header, HERE) == []


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('</2>; rel="http://www.iana.org/assignments/relation/next"', ["http://h/2"]),
        ('</2>; rel="http://example.com/next"', []),
        ("</2>; rel*=UTF-8''prev", []),
    ],
)
def test_a_registered_relation_may_be_written_as_its_address(header: str, found: list[str]) -> None:
    assert next_targets(header, "http://h/1") == found


def test_an_encoded_relation_that_says_next_is_not_left_out() -> None:
    with pytest.raises(UnreadableLinkError):
        next_targets("</2>; rel*=UTF-8''next", "http://h/1")
