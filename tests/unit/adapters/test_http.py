import gc
import gzip
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.adapters.http import ApiResponse, PurchaseApi
from deftunes.adapters.http_headers import named_date, retry_after
from deftunes.adapters.http_pages import PageBounds
from deftunes.core.errors import DeftunesError, RetriableError
from support.api import DATE, NOW, Reply, StubApi, json_reply, stub_api

GOOD = json_reply({"user_id": "u", "n": 1})
DAMAGED_GZIP = gzip.compress(GOOD.body, mtime=0)[:-8] + bytes(8)
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
    arguments: dict[str, object] = {"budget": 30.0, "timeout": 5.0, "now": lambda: NOW, **options}
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
        stub.url += "/v1"
        with client(stub) as (api, _):
            users(api)
    assert stub.asked == ["/v1/users"]


@pytest.mark.parametrize("date_header", [None, "no date"])
def test_without_a_date_our_clock_counts(date_header: str | None) -> None:
    with stub_api(json_reply(date=date_header)) as stub, client(stub) as (api, _):
        answer, _ = ask(api)
        assert answer.extracted_at == answer.received_at == NOW


def http_date(instant: datetime) -> str:
    return format_datetime(instant, usegmt=True)


@pytest.mark.parametrize("behind", [timedelta(hours=-23), timedelta(0), timedelta(days=400), timedelta(days=20_000)])
def test_a_clock_behind_ours_or_hours_ahead_dates_the_answer(behind: timedelta) -> None:
    with stub_api(json_reply(date=http_date(NOW - behind))) as stub, client(stub) as (api, _):
        answer, _ = ask(api)
        assert (answer.extracted_at, answer.received_at) == (NOW - behind, NOW)


@pytest.mark.parametrize("ahead", [timedelta(hours=25), timedelta(days=400), timedelta(days=12_000)])
def test_a_clock_that_is_days_ahead_is_not_followed_and_a_person_can_go_on(ahead: timedelta) -> None:
    with stub_api() as stub:
        stub.otherwise = lambda _path, _query: json_reply({"n": 1}, date=http_date(NOW + ahead))
        with client(stub) as (api, _), pytest.raises(DeftunesError, match=r"2026-03-01.*DEFTUNES_HTTP_DATE") as caught:
            users(api)
        assert not isinstance(caught.value, RetriableError)
        assert len(stub.asked) == 1
        with client(stub, dated=False) as (api, _):
            assert ask(api)[0].extracted_at == NOW


@settings(max_examples=500)
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
    | st.builds(
        "{}, {} {} {} {}:{}:{} {}".format, st.sampled_from(["Thu", "x"]), st.integers(-1, 99999),
        st.sampled_from(["Jan", "Feb", "13"]), st.integers(-1, 10**6), *[st.integers(-1, 99)] * 3,
        st.sampled_from(["GMT", "+0000", "-9999", "+99999999999999", "EST", "", "Z"]),
    )
)  # fmt: skip
def test_no_date_breaks_anything_and_none_puts_an_answer_into_the_future(text: str) -> None:
    response = requests.Response()
    response.headers["Date"] = text
    response.headers["Retry-After"] = text
    named = named_date(response)
    assert named is None or named.tzinfo is UTC
    wait = retry_after(response)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("line", ["X-Powered by ACME", "X-A : 1", "no colon at all", "\u00a0X: 1", "{"])
@pytest.mark.parametrize("path", ["/users", "/elsewhere"])
def test_a_line_among_the_headers_that_is_none_hides_nothing(line: str, path: str) -> None:
    """Python's client would leave out what stands behind it: a next page, a date, an encoding."""

    def answer(_path: str, _query: dict[str, str]) -> Reply:
        return Reply(GOOD.body, headers={"X-Before": f"1\r\n{line}", "Link": '</users2>; rel="next"'})

    with stub_api() as stub, client(stub) as (api, _):
        stub.otherwise = answer
        if path == "/elsewhere":
            stub.script.append(Reply(b"", status=302, headers={"Location": path}))
        with pytest.raises(DeftunesError, match="expected header lines by RFC 9112, got one that is none") as refused:
            ask(api)
        assert refused.value.exit_code == 1


@pytest.mark.parametrize("status", [102, 103])
def test_interim_answers_each_time_are_no_reason_to_try_again(status: int) -> None:
    with stub_api() as stub, client(stub) as (api, _):
        stub.otherwise = lambda _path, _query: Reply(b"", status=status)
        with pytest.raises(DeftunesError, match=f"got HTTP {status} ahead of it") as refused:
            ask(api)
        assert refused.value.exit_code == 1


@pytest.mark.parametrize("name", ["Link", "Location"])
def test_an_address_that_is_sent_as_utf_8_is_asked_for_as_such(name: str) -> None:
    target = "/\u00fcsers".encode().decode("latin-1")
    with stub_api(GOOD) as stub, client(stub) as (api, _):
        first = Reply(GOOD.body, headers={"Link": f'<{target}>; rel="next"'})
        stub.script.insert(0, first if name == "Link" else Reply(b"", status=302, headers={"Location": target}))
        ask(api)
        assert stub.asked[1] == "/%C3%BCsers"


@pytest.mark.parametrize(
    "bad",
    [
        *(Reply(status=status) for status in (408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599)),
        *(Reply(b"", status=status) for status in (102, 103)),
        Reply(b"", status=202, headers={"Retry-After": "0"}),
        Reply(reset=True),
        Reply(GOOD.body, cut=0),
        Reply(GOOD.body, cut=10),
        Reply(GOOD.body, cut=10, framing="chunked"),
        Reply(GOOD.body, cut=10, framing="none"),
        Reply(b"", framing="none"),
        Reply(b'{"error": "cut"}', cut=5),
        Reply(b"<html></html>", cut=5),
        MALFORMED,
        Reply('[{"user_id":"ü'.encode()[:-1]),
        Reply(DAMAGED_GZIP, headers={"Content-Encoding": "gzip"}),
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
    packed = Reply(gzip.compress(GOOD.body, mtime=0), headers={"Content-Encoding": "gzip"})
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


@pytest.mark.parametrize(
    ("status", "shared"),
    [(429, True), (503, True), (500, False), (202, False)],  # the last two speak of one request
)
def test_a_busy_server_is_left_alone_by_every_thread(status: int, shared: bool) -> None:
    busy = Reply(b"", status=status, headers={"Retry-After": "7"})
    clock, waits = Clock(), []
    struck, other_came = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            waits.append(seconds)
            clock.sleep(seconds)
        else:  # the thread whose request was struck
            struck.set()
            assert other_came.wait(5)

    with (
        stub_api(busy) as stub,
        PurchaseApi(stub.url, budget=30, timeout=5, now=lambda: NOW, clock=lambda: clock.now, sleep=sleep) as api,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(users, api)
        assert struck.wait(5)
        users(api)
        other_came.set()
        first.result(5)

    assert [7 <= seconds <= 7.5 for seconds in waits] == ([True] if shared else [])


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
        (Reply(b"", status=206), "HTTP 206: a part"),
        (Reply(b"", status=202), "HTTP 202: the API is still making"),
        (Reply(b"", status=204, framing="none"), "HTTP 204: no content"),
        (Reply(b"", status=304, framing="none"), "HTTP 304"),
        (Reply(b"", status=407), "HTTP 407: the proxy wants a login"),
        *((Reply(b"", status=status), f"HTTP {status}: ") for status in (501, 505, 506, 508, 510, 511)),
        (Reply(b'[{"n": NaN}]'), "malformed JSON.*invalid character"),
        (Reply(b'[{"n": -Infinity}]'), "malformed JSON"),
        (Reply(b'[{"n": 1}] [{"n": 2}]'), "malformed JSON.*trailing"),
        (Reply(b'[{"n": 1}]\n<!-- 3 ms -->'), "malformed JSON.*trailing"),
        (Reply(b'[{"user_id":"\xff"}]'), "not UTF-8"),
        (Reply(b"[{'user_id':1}]"), "malformed JSON"),
        (
            Reply('[{"n": "Zoë"}]'.encode("latin-1"), headers={"Content-Type": "application/json; charset=iso-8859-1"}),
            "not UTF-8.*the API calls it iso-8859-1",
        ),
        (Reply('[{"n": 1}]'.encode("utf-16")), "no JSON array"),
        (Reply(b"not gzip", headers={"Content-Encoding": "gzip"}), "not in the Content-Encoding that it names"),
        (Reply(b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"}), "Content-Encoding.*got zstd"),
        (Reply(GOOD.body, headers={"Content-Encoding": "gzip, br"}), "Content-Encoding.*got br"),
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
    gc.collect()  # what the errors of other tests hold
    before = mapped_files()
    mapped: list[int] = []
    with stub_api(*script) as stub, client(stub) as (api, _):
        api.users(lambda _records: mapped.append(len(mapped_files()) - len(before)))
    assert mapped == [1, 1]
    assert mapped_files() == before


@pytest.mark.parametrize(
    "link",
    [
        "</users?page=2>; rel=next",
        '</users?page=2>; rel="NEXT last"',
        '</users?page=1>; title="rel=next, </x>"; rel=first, </users?page=2>; title="a, b"; REL="next"',
        ['</users?page=1>; rel="first"', '</users?page=2>; rel="next"'],
        ['</users?page=2>; rel="next"', '</users?page=2>; rel="last next"'],
    ],
    ids=str,
)
def test_a_next_page_is_found_however_its_link_is_written(link: str | list[str]) -> None:
    with stub_api(json_reply({"n": 1}, headers={"Link": link}), json_reply({"n": 2})) as stub, client(stub) as (api, _):
        assert users(api) == [b'{"n": 1}', b'{"n": 2}']
        assert stub.asked == ["/users", "/users?page=2"]


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("/users?page=2; rel=next", "RFC 8288"),
        ('</users?page=2> rel="next"', "RFC 8288"),
        ("<http://[::1/users>; rel=next", "RFC 8288"),
        ("</users?page=2>; rel=next, </users?page=3>; rel=next", "links to 2"),
        ("<http://127.0.0.1:80a/users>; rel=next", "a link elsewhere"),
    ],
)
def test_a_next_page_that_cannot_be_told_is_an_error_and_never_left_out(link: str, message: str) -> None:
    page = json_reply({"n": 1}, headers={"Link": link})
    with stub_api(page) as stub, client(stub) as (api, _), pytest.raises(DeftunesError, match=message) as caught:
        users(api)
    assert not isinstance(caught.value, RetriableError)


def _endless(body: Callable[[int], Reply]) -> Callable[[str, dict[str, str]], Reply]:
    def page(_path: str, query: dict[str, str]) -> Reply:
        number = int(query.get("page", 1))
        reply = body(number)
        return replace(reply, headers={"Link": f'</users?page={number + 1}>; rel="next"'})

    return page


@pytest.mark.parametrize(
    ("body", "asked", "message"),
    [
        (lambda number: json_reply(*[{"n": 1}] if number == 1 else []), 4, "3 pages in a row.*MAX_EMPTY_PAGES"),
        (lambda _: json_reply({"n": 1}), 4, "3 pages in a row without new records"),
        (lambda number: json_reply({"n": number % 2}), 5, "3 pages in a row without new records"),
        (lambda number: json_reply({"n": number}), 7, "one more after 7 pages.*DEFTUNES_HTTP_MAX_PAGES"),
    ],
    ids=["empty", "the same", "two in turn", "always new"],
)
def test_pages_without_end_end_within_their_bounds(body: Callable[[int], Reply], asked: int, message: str) -> None:
    with stub_api() as stub, client(stub, pages=PageBounds(pages=7, empty=3)) as (api, _):
        stub.otherwise = _endless(body)
        with pytest.raises(DeftunesError, match=message) as caught:
            users(api)
    assert not isinstance(caught.value, RetriableError)
    assert len(stub.asked) == asked


def test_single_pages_without_records_between_others_are_followed() -> None:
    bodies = [[1], [], [], [2], [], [], [3]]
    with stub_api() as stub, client(stub, pages=PageBounds(pages=7, empty=3)) as (api, _):
        stub.script = [
            json_reply(*({"n": n} for n in body), headers={"Link": f"</users?page={number + 2}>; rel=next"})
            for number, body in enumerate(bodies[:-1])
        ]
        stub.script.append(json_reply({"n": 3}))
        assert len(users(api)) == 3


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


def test_what_can_be_a_secret_in_a_link_is_in_no_receipt_and_in_no_error() -> None:
    link = {"Link": "</users?page=2&api_key=s3cret&X-Amz-Signature=s3cret>; rel=next"}
    with stub_api(json_reply({"n": 1}, headers=link), json_reply({"n": 2})) as stub, client(stub) as (api, _):
        answer, _ = ask(api)
        assert answer.requests == ("GET /users", "GET /users?page=2&api_key=***&X-Amz-Signature=***")
        stub.script = [json_reply({"n": 1}, headers=link), Reply(status=404)]
        with pytest.raises(DeftunesError, match="HTTP 404") as caught:
            ask(api)
        assert "s3cret" not in str(caught.value)


def test_a_redirect_to_what_is_no_address_is_an_error() -> None:
    away = Reply(status=302, headers={"Location": "http://[::1/users"})
    with stub_api(away) as stub, client(stub) as (api, _), pytest.raises(DeftunesError) as caught:
        users(api)
    assert not isinstance(caught.value, RetriableError)


def test_redirects_that_do_not_end_are_an_error() -> None:
    with stub_api() as stub, client(stub) as (api, _):
        stub.otherwise = lambda _path, _query: Reply(status=302, headers={"Location": "/users"})
        with pytest.raises(DeftunesError, match="redirects"):
            users(api)


def test_an_api_that_is_away_is_worth_another_run() -> None:
    with stub_api() as stub:
        pass
    with client(stub, budget=5.0) as (api, clock), pytest.raises(RetriableError, match=r"no connection.*refused"):
        users(api)
    assert sum(clock.waits) == pytest.approx(5)


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
