"""What S3 answers, in our words: who acts, and what S3 said. A server on this machine sends each answer to boto3."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from deftunes.adapters.failures import TRANSIENT_CODES
from deftunes.adapters.lake import Lake, open_lake
from deftunes.core.errors import DeftunesError
from deftunes.core.settings import Settings
from support.faulty_s3 import RESET, FaultyS3

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and one that nobody knows.
FINAL = [
    ("AccessDenied", 403), ("AccountProblem", 403), ("AllAccessDisabled", 403), ("AuthorizationHeaderMalformed", 400),
    ("ExpiredToken", 400), ("InvalidAccessKeyId", 403), ("InvalidBucketName", 400), ("InvalidObjectState", 403),
    ("InvalidRequest", 400), ("KMS.DisabledException", 400), ("MethodNotAllowed", 405), ("NoSuchBucket", 404),
    ("NotImplemented", 501), ("QuotaExceeded", 403), ("RequestTimeTooSkewed", 403), ("SignatureDoesNotMatch", 403),
    ("SomethingNew", 418), ("XMinioStorageFull", 507),
]  # fmt: skip
PASSING = [("SlowDown", 503), ("InternalError", 500), ("ServiceUnavailable", 503), ("", 502), ("", 504), ("", 429)]


@pytest.fixture(scope="module")
def s3() -> Iterator[FaultyS3]:
    with FaultyS3() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 tries again as often as ever, and at once."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part-00000.jsonl.gz"
    path.write_bytes(b"one")
    return path


@pytest.fixture(scope="module")
def there(s3: FaultyS3) -> Lake:
    """The lake behind that server."""
    return lake(s3.url)


def lake(endpoint: str) -> Lake:
    secrets = {"lake_access_key_id": "someone", "lake_secret_access_key": "s3cret-key"}
    return open_lake(Settings.model_validate({"lake": "s3://lake/p", "aws_endpoint_url_s3": endpoint, **secrets}))


def failed(act: Callable[[], object]) -> DeftunesError:
    with pytest.raises(DeftunesError) as failure:
        act()
    assert "s3cret" not in str(failure.value)
    return failure.value


def calls(lake: Lake, part: Path) -> list[Callable[[], object]]:
    return [
        lambda: lake.put("landing/one", b"one"),
        lambda: lake.upload("landing/one", part),
        lambda: lake.get("landing/one"),
        lambda: lake.open("landing/one"),
        lambda: list(lake.keys("landing/one")),
    ]


@pytest.mark.parametrize(("code", "status"), FINAL)
def test_what_is_not_known_to_pass_is_final_and_named(
    s3: FaultyS3, there: Lake, part: Path, code: str, status: int
) -> None:
    s3.fail(code, status)
    for call in calls(there, part):
        error = failed(call)
        assert error.exit_code == 1
        assert f"s3://lake/p/landing/one: {code} (HTTP {status}): said so" in str(error)


@pytest.mark.parametrize(("code", "status"), [*PASSING, *((code, 400) for code in sorted(TRANSIENT_CODES))])
def test_what_passes_is_worth_another_try(s3: FaultyS3, there: Lake, part: Path, code: str, status: int) -> None:
    s3.fail(code, status)
    for call in calls(there, part):
        error = failed(call)
        assert error.exit_code == 75
        assert (code or str(status)) in str(error)
        assert "othing was changed" not in str(error)


def test_a_full_disk_is_called_one(s3: FaultyS3, there: Lake, part: Path) -> None:
    s3.fail("XMinioStorageFull", 507)
    assert all("disk of S3 is full" in str(failed(call)) for call in calls(there, part))


def test_an_object_that_is_not_there_is_none(s3: FaultyS3, there: Lake) -> None:
    s3.fail("NoSuchKey", 404)
    assert there.get("landing/one") is None


def test_a_connection_that_breaks_is_worth_another_try(s3: FaultyS3, there: Lake, part: Path) -> None:
    s3.fail(RESET)
    assert {failed(call).exit_code for call in calls(there, part)} == {75}


def test_nobody_at_the_address_is_worth_another_try(part: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        for call in calls(lake(f"http://127.0.0.1:{closed.getsockname()[1]}"), part):
            error = failed(call)
            assert error.exit_code == 75
            assert "S3 did not answer for s3://lake/p/landing/one" in str(error)


def test_tls_that_no_try_mends_is_final(s3: FaultyS3, part: Path) -> None:
    for call in calls(lake(s3.url.replace("http:", "https:")), part):
        error = failed(call)
        assert error.exit_code == 1
        assert "SSL" in str(error)


def test_a_name_that_no_server_has_is_final(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # this machine may have no name server to ask
    for call in calls(lake("http://s3.nowhere.example"), part):
        error = failed(call)
        assert error.exit_code == 1
        assert "Name or service not known" in str(error)


class _AnyAnswer(BaseHTTPRequestHandler):
    """A web server that has a page for everything."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        page = b"<html>welcome</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_GET = do_PUT = do_POST = do_HEAD = _answer  # noqa: N815 - the names that the base class calls

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[Lake]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _AnyAnswer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lake(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.mark.parametrize("call", ["put", "put_json", "upload", "keys", "get_json"])
def test_a_web_server_in_s3_s_place_is_none(page: Lake, part: Path, call: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: page.put("k", b"1"),
        "put_json": lambda: page.put_json("k", {}),
        "upload": lambda: page.upload("k", part),
        "keys": lambda: list(page.keys("")),
        "get_json": lambda: page.get_json("k"),
    }
    with pytest.raises(DeftunesError, match=r"is not S3's|expected a JSON object at s3://") as refused:
        calls[call]()
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("http_proxy", "http://[bad"), ("http_proxy", "nonsense:xx"), ("AWS_CA_BUNDLE", "/none/such.pem")],
)
def test_a_proxy_or_a_file_of_authorities_that_is_none_is_final(
    s3: FaultyS3, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for other in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(other, "")
    monkeypatch.setenv(name, value)
    url = s3.url.replace("http://", "https://") if name == "AWS_CA_BUNDLE" else s3.url
    with pytest.raises(DeftunesError, match=r"Check .*AWS_CA_BUNDLE") as refused:
        lake(url).get("k")
    assert refused.value.exit_code == 1
