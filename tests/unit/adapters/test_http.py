import gc
import gzip
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from deftunes.adapters.http import ApiResponse, PurchaseApi
from deftunes.core.errors import BadUsageError, DeftunesError, RetriableError
from support.api import DATE, Reply, StubApi, json_reply, stub_api

GOOD = json_reply({"user_id": "u", "n": 1})
MALFORMED = Reply(b'[{"user_id":"u"},{"user')


@dataclass
class Clock:
    """Time that only passes while somebody sleeps."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@contextmanager
def client(stub: StubApi, **options: object) -> Iterator[tuple[PurchaseApi, Clock]]:
    clock = Clock()
    arguments: dict[str, object] = {"budget": 30.0, "timeout": 5.0, **options}
    with PurchaseApi(stub.url, clock=lambda: clock.now, sleep=clock.sleep, **arguments) as api:  # type: ignore[arg-type]
        yield api, clock


def ask(api: PurchaseApi) -> tuple[ApiResponse, list[bytes]]:
    received: list[bytes] = []
    return api.users(received.extend), received


def users(api: PurchaseApi) -> list[bytes]:
    return ask(api)[1]


def test_an_answer_has_its_records_its_time_and_what_was_asked() -> None:
    with stub_api(json_reply({"a": 1}, {"b": "ü"})) as stub, client(stub) as (api, _):
        received: list[bytes] = []
        answer = api.sessions(date(2026, 1, 1), date(2026, 1, 3), received.extend)
        assert received == [b'{"a": 1}', '{"b": "ü"}'.encode()]
        assert answer.extracted_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert answer.requests == ("GET /sessions?start_date=2026-01-01&end_date=2026-01-03",)
        assert (answer.rows, answer.bytes, answer.tries) == (2, 23, 1)
        assert stub.asked == ["/sessions?start_date=2026-01-01&end_date=2026-01-03"]


def test_users_are_asked_for_without_dates_below_the_path_of_the_base_url() -> None:
    with stub_api(GOOD) as stub:
        stub.url += "/v1/"
        with client(stub) as (api, _):
            users(api)
    assert stub.asked == ["/v1/users"]


@pytest.mark.parametrize("date_header", [None, "no date"])
def test_without_a_date_our_clock_counts(date_header: str | None) -> None:
    with stub_api(json_reply(date=date_header)) as stub, client(stub) as (api, _):
        answer, _ = ask(api)
        assert abs(answer.extracted_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "bad",
    [
        *(Reply(status=status) for status in (429, 500, 502, 503, 504)),
        Reply(reset=True),
        Reply(GOOD.body, cut=0),
        Reply(GOOD.body, cut=10),
        Reply(GOOD.body, cut=10, framing="chunked"),
        Reply(GOOD.body, cut=10, framing="none"),
        Reply(b"", framing="none"),
        Reply(b'{"error": "cut"}', cut=5),
        Reply(b"<html></html>", cut=5),
        MALFORMED,
        Reply(b'[{"user_id":"\xff"}]'),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=str,
)
def test_what_can_pass_is_tried_again_and_leaves_no_trace(bad: Reply) -> None:
    with stub_api(bad, bad, GOOD) as stub, client(stub) as (api, clock):
        answer, received = ask(api)
        assert received == [b'{"user_id": "u", "n": 1}']
        assert (answer.tries, answer.rows, len(answer.requests)) == (3, 1, 1)
        assert [0.5 <= clock.waits[0] <= 1, 1 <= clock.waits[1] <= 2, len(clock.waits)] == [True, True, 2]


def test_an_answer_that_stalls_is_asked_for_again() -> None:
    stalled = Reply(GOOD.body + b" " * 200, delay=0.5)
    with stub_api(stalled, GOOD) as stub, client(stub, timeout=0.2) as (api, _):
        assert users(api) == [b'{"user_id": "u", "n": 1}']
    assert len(stub.asked) == 2


@pytest.mark.parametrize("framing", ["length", "chunked", "none"])
def test_a_long_answer_that_keeps_coming_is_not_cut(framing: str) -> None:
    slow = Reply(GOOD.body + b" " * 700, framing=framing, delay=0.06)
    with stub_api(slow) as stub, client(stub, budget=0.0, timeout=0.3) as (api, _):
        assert users(api) == [b'{"user_id": "u", "n": 1}']


def test_a_compressed_answer_is_read() -> None:
    packed = Reply(gzip.compress(GOOD.body), headers={"Content-Encoding": "gzip"})
    with stub_api(packed) as stub, client(stub) as (api, _):
        assert users(api) == [b'{"user_id": "u", "n": 1}']


def never(_records: list[bytes]) -> None:
    pytest.fail("records of an answer that is none")


def test_the_budget_counts_from_the_first_failure_and_waits_grow_to_their_limit() -> None:
    with stub_api() as stub, client(stub, budget=60.0) as (api, clock):
        clock.now = 1000.0
        stub.otherwise = lambda _path, _query: Reply(status=503)
        with pytest.raises(RetriableError, match=r"GET /users.*HTTP 503.*DEFTUNES_HTTP_BUDGET 60 s"):
            api.users(never)
    assert sum(clock.waits) == pytest.approx(60)
    assert max(clock.waits) <= 8
    assert all(wait >= 4 for wait in clock.waits[4:-1])
    assert len(set(clock.waits)) == len(clock.waits), "no jitter"


def test_without_a_budget_there_is_one_try() -> None:
    failing = stub_api(Reply(status=503))
    with failing as stub, client(stub, budget=0.0) as (api, clock), pytest.raises(RetriableError, match="1 tries"):
        users(api)
    assert (len(stub.asked), clock.waits) == (1, [])


def in_seconds(seconds: int) -> str:
    there = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    return there.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize("retry_after", ["7", in_seconds(7)])
def test_retry_after_is_honoured(retry_after: str) -> None:
    busy = Reply(status=429, headers={"Retry-After": retry_after}, date=DATE)
    with stub_api(busy, GOOD) as stub, client(stub) as (api, clock):
        users(api)
    assert [7 <= wait <= 7.5 for wait in clock.waits] == [True]


@pytest.mark.parametrize("retry_after", ["soon", "-3", "", "0"])
def test_a_retry_after_that_says_nothing_is_a_plain_failure(retry_after: str) -> None:
    busy = Reply(status=503, headers={"Retry-After": retry_after})
    with stub_api(busy, GOOD) as stub, client(stub) as (api, clock):
        users(api)
    assert [0.5 <= wait <= 1 for wait in clock.waits] == [True]


def test_a_retry_after_beyond_the_budget_ends_the_request_at_once() -> None:
    busy = Reply(status=429, headers={"Retry-After": "31"})
    with stub_api(busy) as stub, client(stub) as (api, clock), pytest.raises(RetriableError, match="HTTP 429"):
        users(api)
    assert (len(stub.asked), clock.waits) == (1, [])


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(b"", status=400), "HTTP 400"),
        (Reply(b"", status=401), "DEFTUNES_API_TOKEN"),
        (Reply(b"", status=403), "DEFTUNES_API_TOKEN"),
        (Reply(b"", status=404), "DEFTUNES_API_URL"),
        (Reply(b"", status=206), "HTTP 206"),
        (Reply(b""), "an empty body"),
        (Reply(b"", framing="chunked"), "an empty body"),
        (Reply(b"<html>sorry</html>"), "HTML"),
        (Reply(b'{"error": "no"}'), "a JSON object"),
        (Reply(b'{"error": "no"}', framing="none"), "a JSON object"),
        (Reply(b"[1, 2, 3]"), "no object"),
        (Reply(b"null"), "no JSON array"),
    ],
    ids=str,
)
def test_what_cannot_pass_is_not_tried_again(reply: Reply, message: str) -> None:
    with stub_api(reply) as stub, client(stub) as (api, _), pytest.raises(DeftunesError, match=message) as caught:
        api.users(never)
    assert not isinstance(caught.value, RetriableError)
    assert len(stub.asked) == 1


def test_pages_are_one_answer_and_a_failed_page_is_asked_for_again() -> None:
    def link(page: int) -> dict[str, str]:
        return {"Link": f'</users?page=1>; rel="first", </users?page={page}>; rel="next"'}

    script = [
        json_reply({"n": 1}, headers=link(2), date="Thu, 01 Jan 2026 12:00:05 GMT"),
        Reply(b'[{"n": 2}, {"n"', headers=link(3)),
        Reply(status=503),
        json_reply({"n": 2}, headers=link(3), date="Thu, 01 Jan 2026 12:00:01 GMT"),
        json_reply(date="Thu, 01 Jan 2026 12:00:09 GMT"),
    ]
    with stub_api(*script) as stub, client(stub) as (api, _):
        answer, received = ask(api)
        assert received == [b'{"n": 1}', b'{"n": 2}']
        assert answer.requests == ("GET /users", "GET /users?page=2", "GET /users?page=3")
        assert answer.extracted_at == datetime(2026, 1, 1, 12, 0, 1, tzinfo=UTC)
        assert (answer.rows, answer.tries) == (2, 5)
        assert stub.asked == ["/users", *["/users?page=2"] * 3, "/users?page=3"]


def mapped_files() -> list[str]:
    """What this process has mapped of files without a name."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.endswith("(deleted)") and tempfile.gettempdir() in line]


def test_no_body_stays_in_memory_longer_than_its_page() -> None:
    script = [MALFORMED, json_reply({"n": 1}, headers={"Link": '</users?page=2>; rel="next"'}), json_reply({"n": 2})]
    gc.collect()  # mappings of earlier tests' failed requests live as long as their tracebacks
    before = mapped_files()
    mapped: list[int] = []
    with stub_api(*script) as stub, client(stub) as (api, _):
        api.users(lambda _records: mapped.append(len(mapped_files()) - len(before)))
    assert mapped == [1, 1]
    assert mapped_files() == before


def test_a_page_that_links_back_is_refused() -> None:
    page = json_reply({"n": 1}, headers={"Link": '</users>; rel="next"'})
    with stub_api(page) as stub, client(stub) as (api, _), pytest.raises(DeftunesError, match="back to this one"):
        users(api)


def test_a_next_page_elsewhere_is_refused() -> None:
    page = json_reply({"n": 1}, headers={"Link": '<http://elsewhere.invalid/users>; rel="next"'})
    with (
        stub_api(page) as stub,
        client(stub, token="t0ken") as (api, _),
        pytest.raises(DeftunesError, match="same host"),
    ):
        users(api)


def test_the_token_goes_to_our_host_only() -> None:
    with stub_api() as other, stub_api() as stub, client(stub, token="t0ken") as (api, _):
        stub.script = [GOOD, Reply(status=307, headers={"Location": f"{other.url}/elsewhere"})]
        other.script = [GOOD]
        users(api)
        users(api)
    assert [headers.get("Authorization") for headers in stub.headers] == ["Bearer t0ken", "Bearer t0ken"]
    assert other.asked == ["/elsewhere"]
    assert "Authorization" not in other.headers[0]


def test_no_credentials_come_out_of_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with stub_api(GOOD, GOOD) as stub:
        for token in (None, "t0ken"):
            with client(stub, token=token) as (api, _):
                users(api)
    assert [headers.get("Authorization") for headers in stub.headers] == [None, "Bearer t0ken"]


def test_the_token_is_in_no_error() -> None:
    with stub_api(Reply(status=401), Reply(status=503), Reply(b"{}")) as stub:
        for _ in range(3):
            with client(stub, token="t0ken", budget=0.0) as (api, _), pytest.raises(DeftunesError) as caught:
                users(api)
            assert "t0ken" not in str(caught.value)


def test_redirects_that_do_not_end_are_an_error() -> None:
    with stub_api() as stub, client(stub) as (api, _):
        stub.otherwise = lambda _path, _query: Reply(status=302, headers={"Location": "/users"})
        with pytest.raises(DeftunesError, match="redirects"):
            users(api)


def test_an_api_that_is_away_is_worth_another_run() -> None:
    with stub_api() as stub:
        pass
    with client(stub, budget=5.0) as (api, clock), pytest.raises(RetriableError, match="no connection"):
        users(api)
    assert sum(clock.waits) == pytest.approx(5)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://host/", "http://", "http://user:pass@host/"])
def test_a_base_url_that_cannot_work_is_bad_usage_and_is_not_shown(url: str) -> None:
    with pytest.raises(BadUsageError, match="DEFTUNES_API_URL") as caught:
        PurchaseApi(url, budget=0, timeout=1)
    assert "pass" not in str(caught.value)


@contextmanager
def tls_stub(folder: Path, *script: Reply) -> Iterator[StubApi]:
    """A stub behind a certificate that nobody vouches for."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with stub_api(*script, tls=context) as stub:
        yield stub


def test_a_certificate_that_does_not_verify_is_refused_at_once(tmp_path: Path) -> None:
    refused = pytest.raises(DeftunesError, match="certificate")
    with tls_stub(tmp_path, GOOD) as stub, client(stub) as (api, clock), refused as caught:
        users(api)
    assert not isinstance(caught.value, RetriableError)
    assert (stub.asked, clock.waits) == ([], [])


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    down = Reply(status=301, headers={"Location": "http://127.0.0.1:9/users"})
    with tls_stub(tmp_path, GOOD, down) as stub, client(stub) as (api, _):
        assert len(users(api)) == 1
        with pytest.raises(DeftunesError, match="unprotected"):
            users(api)
