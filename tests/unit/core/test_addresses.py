"""Addresses: whatever is accepted is one place for every part of the platform; all else is refused, unquoted."""

from collections.abc import Callable
from functools import partial
from urllib.parse import quote, urlsplit

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deftunes.core.addresses import database_address, http_address, lake_address

PIECES = st.sampled_from(
    ["s3://", "http://", "https://", "lake", "a.b", "//", "/", ":", "@", "?", "#", "%20", " ", "é", "[::1]", "1"]
)
ANY = st.text(max_size=40) | st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join)


def checked(check: Callable[[str], str], text: str) -> str | None:
    """The address, or None where it is refused, without quoting it."""
    try:
        return check(text)
    except ValueError as error:
        told = str(error)
    assert told.startswith("expected")
    assert len(text) < 12 or text not in told
    return None


@given(ANY.map(lambda text: f"s3://lake/{text}") | ANY)
@example("s3://lake/a b")
@example("s3://lake/100%")
@example("s3://lake/a%20b")
@example("s3://lake/è")
@example("s3://lake/e\u0300")
@example("s3://lake/日本")
@example("s3://lake/a+b=c")
@example("s3://lake/*")
@example("s3://lake/..")
@settings(max_examples=1000)
def test_a_lake_is_one_place_for_boto3_pyiceberg_and_spark(text: str) -> None:
    address = checked(lake_address, text)
    if address is None:
        return
    parts = urlsplit(address)  # what PyIceberg makes of it; and S3FileIO, which cuts at ? and #
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    assert (parts.scheme, parts.netloc, parts.path.removeprefix("/")) == ("s3", bucket, prefix)
    assert not parts.query
    assert not parts.fragment
    assert quote(prefix, safe="/") == prefix  # signed, sent and listed as it is written
    assert prefix.isascii()
    assert not set("[]{}*?\\'\" ") & set(prefix)  # Hadoop's patterns, SQL's quotes
    assert not {"", ".", ".."} & set(prefix.split("/") if prefix else ())  # Hadoop's Path resolves them
    assert lake_address(address) == address


@pytest.mark.parametrize(
    "prefix", ["a b", "100%", "a%20b", "è", "日本", "a?b", "a#b", "a//b", "../b", "a*", "a'b", "a\\b", "a:b"]
)
def test_a_prefix_that_not_every_part_carries_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="expected a prefix of ASCII"):
        lake_address(f"s3://lake/{prefix}")


@pytest.mark.parametrize(
    "bucket", ["", "ab", "Upper", "under_score", "key:secret@lake", "-lake", "lake-", "a..b", "10.0.0.1", "a" * 64]
)
def test_a_bucket_that_cannot_be_one_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="expected a bucket's name"):
        lake_address(f"s3://{bucket}/deftunes")


def test_a_slash_at_the_end_is_no_part_of_the_place() -> None:
    assert lake_address("s3://lake/") == lake_address("s3://lake") == "s3://lake"
    assert lake_address("s3://lake/a/b/") == "s3://lake/a/b"
    assert http_address("http://h:1/", with_path=False) == "http://h:1"


@given(ANY.map(lambda text: f"http://h{text}") | ANY)
@example("http://127.0.0.1:80a")
@example("http://127.0.0.1:99999")
@example("http://[::1")
@example("http://" + "a" * 70 + ".example")
@example("http://h:1/?token=s3cret")
@example("http://user:s3cret@h/")
@settings(max_examples=1000)
def test_an_http_address_can_be_asked(text: str) -> None:
    address = checked(partial(http_address, with_path=True), text)
    if address is None:
        return
    parts = urlsplit(address)
    assert parts.hostname
    assert parts.port is None or 0 < parts.port < 65536
    assert {parts.username, parts.password, parts.query, parts.fragment} <= {None, ""}
    requests.Request("GET", f"{address}/users").prepare()


@pytest.mark.parametrize(
    "text",
    [
        "h", "ftp://h", "http://", "http://:80", "http://h:0", "http://h:80a", "http://h:٣", "http://h:65536", "http://bücher",
        "http://a b", "http://h/a b", "http://u@h", "http://u:p@h", "http://h?x", "http://h/#x", "http://[::1", "http://[zz]",
        "http://a..b", "http://1.2.3", "http://999.1.1.1", "http://-h", "http://h\\x", "http://[::1]x",
        "http://[fe80::1%25eth0]:80",
    ],
)  # fmt: skip
def test_what_is_no_http_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        http_address(text, with_path=True)


@pytest.mark.parametrize(
    "text",
    [
        "http://h",
        "https://h.example.com:8443/base/v1",
        "http://[::1]:80",
        "http://xn--bcher-kva.example",
        "http://my_service:1",
        "http://10.0.0.1",
    ],
)
def test_what_is_one_stays_as_it_is(text: str) -> None:
    assert http_address(text, with_path=True) == text


@given(ANY.map(lambda text: f"postgresql://{text}") | ANY)
@settings(max_examples=500)
def test_a_database_s_address_is_never_quoted(text: str) -> None:
    assert checked(partial(database_address, schemes=("postgresql", "postgres")), text) in {text, None}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "http://h/db",
        "redshift://h/db",
        "postgresql://h:0/db",
        "postgresql://u:p@h:99999/db",
        "postgresql://h:1,g:x/db",
    ],
)
def test_what_is_no_database_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        database_address(text, ("postgresql", "postgres"))


@pytest.mark.parametrize(
    "text",
    [
        "host=h password='a b'",
        "postgresql:///db?host=/tmp/x&port=1",
        "postgresql://u:p%40@h:5432,[::1]:5433/db",
        "postgresql://u:pa?ss#w:0@h:5432/db?sslmode=require",
        "postgres://h",
    ],
)
def test_what_libpq_takes_is_accepted(text: str) -> None:
    assert database_address(text, ("postgresql", "postgres")) == text
