"""Addresses, checked where they are read: what some part of the platform could not use is refused at once.

Each function returns the address as every part takes it. It raises ValueError, whose message says what was expected
and never quotes the address, which may hold a password.
"""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

_MAX_PORT = 65_535
_MAX_LABEL = 63
_MAX_HOST = 253
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOGIN = re.compile(r"[^@/]*@")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# The characters that boto3, PyIceberg (which parses a URI), Hadoop's Path (which takes []{}*?\ for a pattern and drops
# empty segments), S3FileIO (which ends a key at ? and #) and Spark SQL's quotes all pass on as they are.
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]+")
# S3 allows 1024 bytes a key; the longest of ours below the prefix, a landing's part, has less than half of that.
_MAX_PREFIX = 512


def http_address(text: str, *, with_path: bool) -> str:
    """An http or https address of a server; `with_path`: a base path below it is allowed. Without a slash at the end.

    Raises:
        ValueError: it is none, or has parts that nobody would send.
    """
    parts = _split(text)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("expected http://HOST or https://HOST, got another scheme or none")
    if "@" in parts.netloc:
        raise ValueError("expected no credentials in the address, which is shown in messages, got some")
    if "?" in text or "#" in text:
        raise ValueError("expected an address without query and fragment, got a ? or a #")
    if any(character.isspace() or character == "\\" for character in text):
        raise ValueError("expected an address without blanks and backslashes, got one")
    _check_host(parts.netloc)
    path = parts.path.rstrip("/")
    if path and not with_path:
        raise ValueError("expected the address of a server, http://HOST:PORT, got a path behind it")
    return f"{parts.scheme}://{parts.netloc}{path}"


def lake_address(text: str) -> str:
    """An s3://bucket/prefix that boto3, PyIceberg, S3A and S3FileIO all take for the same place.

    Raises:
        ValueError: some of them would not.
    """
    scheme, _, place = text.partition("://")
    if scheme != "s3":
        raise ValueError("expected s3://BUCKET or s3://BUCKET/PREFIX, got another scheme or none")
    bucket, _, prefix = place.rstrip("/").partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _is_ip(bucket):
        raise ValueError(
            "expected a bucket's name behind s3://, 3 to 63 lower case letters, digits, dots and hyphens, got another"
        )
    if len(prefix) > _MAX_PREFIX:
        raise ValueError(f"expected a prefix of at most {_MAX_PREFIX} characters, got {len(prefix)}")
    for segment in prefix.split("/") if prefix else ():
        if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
            raise ValueError(
                "expected a prefix of ASCII letters, digits, _, - and . between single slashes, got another: boto3, "
                "PyIceberg and Spark would read it as different places"
            )
    return f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"


def database_address(text: str, schemes: Collection[str]) -> str:
    """A URI of one of these schemes, or libpq's key=value pairs.

    Raises:
        ValueError: it is none, or its host or port cannot be one. What libpq itself checks is left to it.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        if "=" not in text:
            raise ValueError(f"expected {' or '.join(f'{name}://...' for name in schemes)}, or key=value pairs")
        return text
    if scheme[1] not in schemes:
        raise ValueError(f"expected {' or '.join(f'{name}://...' for name in schemes)}, got another scheme")
    # As libpq takes it apart: a login may hold a question mark or a hash.
    hosts = re.split(r"[/?]", _LOGIN.sub("", text[scheme.end() :], count=1), maxsplit=1)[0]
    for host in hosts.split(","):  # it tries several in turn
        _check_port(re.sub(r"^\[[^\]]*\]", "", host).partition(":")[2])
    return text


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:  # its message quotes the address
        raise ValueError("expected an address, got one whose host cannot be read") from None


def _check_host(netloc: str) -> None:
    bracketed = re.fullmatch(r"\[([^\]]*)\](.*)", netloc)
    if bracketed:
        if not _is_ipv6(bracketed[1]):
            raise ValueError("expected an IPv6 address without a zone between [ and ], got another text")
        rest = bracketed[2]
    else:
        host, colon, port = netloc.partition(":")
        rest = colon + port
        name = host.removesuffix(".")
        labels = name.split(".")
        if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) and len(label) <= _MAX_LABEL for label in labels):
            raise ValueError("expected a host name in ASCII (others begin with xn--), got another, or an empty one")
        if labels[-1].isdigit() and not _is_ip(name):
            raise ValueError("expected a host name or an IPv4 address, got numbers that are none")
    if rest and not rest.startswith(":"):
        raise ValueError("expected nothing but a port behind the host, got more")
    _check_port(rest.removeprefix(":"))


def _check_port(port: str) -> None:
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _MAX_PORT):
        raise ValueError(f"expected a port from 1 to {_MAX_PORT}, got another text behind the colon")


def _is_ipv6(text: str) -> bool:
    """Without a zone, which no client here sends."""
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
