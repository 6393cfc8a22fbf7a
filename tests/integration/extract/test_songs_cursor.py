"""The cursor of songs says nothing after rows changed that nobody wrote, or where transactions are others."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deftunes.adapters.lake import Lake
from deftunes.extract.songs import CHANGES, FULL
from song_catalog.songs import CREATE_TABLE
from support.cluster import Cluster, embedded_binaries, other_binaries
from support.landed_songs import LandedSongs, Row, key

ROWS = 20
FILL = (
    "insert into deftunes.songs (track_id, title, song_id, artist_id, year, shs_work) "
    f"select 'TR' || lpad(n::text, 16, '0'), 'Title ' || n, 'SO', 'AR', n, n from generate_series(1, {ROWS}) n"
)
# Two children with the same keys; each statement commits, so all their rows are older than any cursor.
CHILDREN = (
    "alter table deftunes.songs add column title_v2 text, add column year_v2 int",
    "update deftunes.songs set title_v2 = 'New ' || title, year_v2 = year + 1000",
    *(
        statement
        for child in ("one", "other")
        for statement in (
            f"create table deftunes.{child} (like deftunes.songs)",
            f"insert into deftunes.{child} (track_id, title, title_v2, year) "
            f"values ('{key(101)}', '{child}', 'New {child}', 1)",
        )
    ),
    "alter table deftunes.one inherit deftunes.songs",
)


def prepare(catalogue: LandedSongs) -> dict[str, Row]:
    """Twenty songs and a child with one more, landed and published; what `main` holds then."""
    for table in ("songs", "one", "other"):
        catalogue.sql(f"drop table if exists deftunes.{table} cascade")
    catalogue.sql(CREATE_TABLE, FILL, *CHILDREN)
    catalogue.published = None
    catalogue.land(force_full=True, accept_shrink=True)
    return catalogue.follow({})


def exchange(column: str) -> list[str]:
    return [
        f"alter table deftunes.songs rename {column} to {column}_v1",
        f"alter table deftunes.songs rename {column}_v2 to {column}",
        f"alter table deftunes.songs rename {column}_v1 to {column}_v2",
    ]


UNWRITTEN = {
    "two columns exchange their names": exchange("title"),
    "a column is dropped and added with a default": [
        "alter table deftunes.songs drop shs_work", "alter table deftunes.songs add shs_work integer default 5",
    ],
    "a column is now computed when it is read": [
        "alter table deftunes.songs drop title",
        "alter table deftunes.songs add title text generated always as ('Song ' || year) virtual",
    ],
    "a child is exchanged for one with the same keys": [
        "alter table deftunes.one no inherit deftunes.songs", "alter table deftunes.other inherit deftunes.songs",
    ],
    "a child is added": ["alter table deftunes.other inherit deftunes.songs"],
    "a child is taken away": ["alter table deftunes.one no inherit deftunes.songs"],
    "two columns of a child exchange their names": [
        "alter table deftunes.one no inherit deftunes.songs",
        *(statement.replace("songs", "one") for statement in exchange("title")),
        "alter table deftunes.one inherit deftunes.songs",
    ],
    "a child of a child is added": [
        "update deftunes.other set track_id = 'TR0000000000000102'",
        "alter table deftunes.other inherit deftunes.one",
    ],
}  # fmt: skip


@pytest.mark.parametrize("statements", UNWRITTEN.values(), ids=UNWRITTEN)
def test_what_changes_without_being_written_is_read(catalogue: LandedSongs, statements: list[str]) -> None:
    prepare(catalogue)
    catalogue.sql(*statements)

    landed = catalogue.land()

    assert catalogue.kind() == FULL
    assert any(note.startswith("all rows of deftunes.songs were read: not as at") for note in landed.notes)
    assert catalogue.follow({}) == catalogue.by_key()
    catalogue.sql("update deftunes.songs set year = 7 where track_id = 'TR0000000000000003'")
    catalogue.land()
    assert (catalogue.kind(), catalogue.landed_keys()) == (CHANGES, [key(3)])


def test_a_computed_column_that_is_computed_otherwise_is_read(catalogue: LandedSongs) -> None:
    prepare(catalogue)
    catalogue.sql("alter table deftunes.one no inherit deftunes.songs")
    catalogue.sql(*UNWRITTEN["a column is now computed when it is read"])
    catalogue.land()
    catalogue.publish()
    catalogue.sql("alter table deftunes.songs alter column title set expression as ('Other ' || year)")

    catalogue.land()

    assert catalogue.kind() == FULL
    assert catalogue.follow({})[key(3)]["title"] == "Other 3"


def test_the_same_rows_under_another_identity_are_landed_once_more_and_then_followed(catalogue: LandedSongs) -> None:
    prepare(catalogue)
    for statement in exchange("year_v2")[:1]:  # not a column that is landed
        catalogue.sql(statement.replace("year_v2_v1", "year_v3"))
    assert catalogue.land().written == ()
    catalogue.sql("alter table deftunes.songs drop shs_perf", "alter table deftunes.songs add shs_perf integer")

    assert catalogue.land().written == ("snapshot",)
    catalogue.publish()
    assert catalogue.land().written == ()


@pytest.mark.parametrize("change", ["policy", "partitions"])
def test_rows_that_come_and_go_unwritten_are_never_followed(catalogue: LandedSongs, change: str) -> None:
    prepare(catalogue)
    if change == "policy":
        catalogue.sql(
            "drop role if exists reader", "create role reader login", "grant usage on schema deftunes to reader",
            "grant select on deftunes.songs to reader", "alter table deftunes.songs enable row level security",
            "create policy few on deftunes.songs to reader using (year < 10)",
        )  # fmt: skip
        catalogue.dsn = psycopg2.extensions.make_dsn(catalogue.dsn, user="reader")
        more = ["drop policy few on deftunes.songs", "create policy all_of_them on deftunes.songs using (true)"]
    else:
        catalogue.sql(
            "drop table deftunes.songs cascade", f"{CREATE_TABLE} partition by list (track_id)",
            "create table deftunes.first partition of deftunes.songs default", FILL,
            "create table deftunes.second as table deftunes.first", "update deftunes.second set title = 'second'",
        )  # fmt: skip
        more = [
            "alter table deftunes.songs detach partition deftunes.first",
            "alter table deftunes.songs attach partition deftunes.second default",
        ]
    try:
        catalogue.land(accept_shrink=True)
        before = catalogue.follow({})
        catalogue.sql(*more)

        catalogue.land()

        assert (catalogue.kind(), catalogue.in_use.source["cursor"]) == (FULL, None)
        assert catalogue.follow({}) == catalogue.by_key() != before
    finally:
        if change == "policy":
            catalogue.sql("drop owned by reader", "drop role reader")


def operations() -> st.SearchStrategy[list[list[str]]]:
    """Rounds of what may happen between two runs."""
    track = st.integers(1, ROWS + 5).map(key)
    written = st.one_of(
        track.map(lambda track: [f"update deftunes.songs set title = title || '!' where track_id = '{track}'"]),
        track.map(lambda track: [f"delete from deftunes.songs where track_id = '{track}'"]),
        track.map(
            lambda track: [
                f"delete from deftunes.songs where track_id = '{track}'",
                f"insert into deftunes.songs (track_id, title, title_v2) values ('{track}', 'again', 'v2')",
            ]
        ),
    )
    unwritten = st.one_of(
        st.sampled_from([exchange("title"), exchange("year")]),
        st.integers(0, 9).map(
            lambda number: [
                "alter table deftunes.songs drop shs_work",
                f"alter table deftunes.songs add shs_work integer default {number}",
            ]
        ),
        st.just(["truncate deftunes.one"]),
        st.just(["vacuum (freeze) deftunes.songs"]),
        st.just(["vacuum (full) deftunes.songs"]),
        st.just(["alter table deftunes.one no inherit deftunes.songs"]),
        st.just(["alter table deftunes.songs alter year type bigint"]),
    )
    return st.lists(st.lists(st.one_of(written, unwritten), max_size=4).map(lambda them: [*chain(*them)]), max_size=4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=operations())
def test_whatever_happens_between_runs_main_is_the_source(catalogue: LandedSongs, rounds: list[list[str]]) -> None:
    main = prepare(catalogue)
    for statements in rounds:
        for statement in statements:
            try:
                catalogue.sql(statement)
            except psycopg2.Error:  # no such child any more
                continue
        catalogue.land(accept_shrink=True)
        main = catalogue.follow(main)
        assert main == catalogue.by_key()


@contextmanager
def own_server(lake: Lake, binaries: Path | None = None, **options: str) -> Iterator[tuple[Cluster, LandedSongs]]:
    """A server of this test's own, with twenty songs that are landed and published."""
    with Cluster(binaries, options) as server:
        server.ask("create schema deftunes")
        server.ask(CREATE_TABLE)
        server.ask(FILL)
        songs = LandedSongs(None, server.dsn(), lake)  # type: ignore[arg-type] - asked through the server, which restarts
        songs.land()
        songs.publish()
        yield server, songs


def source(server: Cluster) -> dict[str, str]:
    return dict(server.ask("select track_id, title from deftunes.songs"))  # type: ignore[arg-type]


def landed(songs: LandedSongs) -> dict[str, str]:
    return {row["track_id"]: row["title"] for row in songs.rows()}


def update(number: int, title: str) -> str:
    return f"update deftunes.songs set title = '{title}' where track_id = '{key(number)}'"


@pytest.mark.parametrize("binaries", [embedded_binaries(), *other_binaries()], ids=str)
def test_every_server_that_can_be_had_is_followed_and_read_anew_after_a_restart(lake: Lake, binaries: Path) -> None:
    with own_server(lake, binaries) as (server, songs):
        assert None not in songs.in_use.source["identity"].values()
        assert songs.land().written == ()
        server.ask(update(1, "changed"))
        songs.land()
        assert (songs.kind(), landed(songs)) == (CHANGES, {key(1): "changed"})
        songs.publish()
        server.ask("alter table deftunes.songs rename title to kept")
        server.ask("alter table deftunes.songs add title text default 'of nobody'")
        songs.land()
        assert (songs.kind(), landed(songs)) == (FULL, source(server))
        songs.publish()
        server.stop()
        server.start()
        assert any("server start" in note for note in songs.land().notes)
        assert songs.kind() == FULL


def test_a_database_set_back_to_a_copy_is_read_anew_however_far_it_went_on(lake: Lake) -> None:
    with own_server(lake) as (server, songs):
        copy = server.folder / "copy"
        server.stop()
        server.copy(copy)
        server.start()
        for number in range(10):
            server.ask(update(1, f"lost {number}"))
        songs.land()
        songs.publish()
        server.stop()
        server.set_back(copy)
        server.start()
        for number in range(40):
            server.ask(update(2, f"kept {number}"))
        server.ask("select pg_switch_wal()")
        server.ask(update(3, "kept"))

        songs.land()

        assert songs.published
        assert int(songs.in_use.source["position"]) > int(songs.published.source["position"])
        assert int(songs.in_use.source["cursor"]) > int(songs.published.source["cursor"])
        assert (songs.kind(), landed(songs)) == (FULL, source(server))


def test_commits_that_a_crash_took_back_are_noticed(lake: Lake) -> None:
    # Commits of the last ten seconds are in memory only; one killed session takes the whole server with it.
    with own_server(lake, synchronous_commit="off", wal_writer_delay="10s") as (server, songs):
        server.ask("checkpoint")
        for number in range(5):
            server.ask(update(1, f"lost {number}"))
        songs.land()
        songs.publish()
        with closing(psycopg2.connect(server.dsn())) as victim:
            os.kill(victim.info.backend_pid, signal.SIGKILL)
            server.wait(lambda: server.ask("select 1") == [(1,)])
        assert source(server)[key(1)] != "lost 4", "else this test tries nothing"
        for number in range(9):
            server.ask(update(2, f"kept {number}"))

        songs.land()

        assert (songs.kind(), landed(songs)) == (FULL, source(server))


def test_a_promoted_standby_that_lacked_the_last_transactions_is_read_anew(lake: Lake) -> None:
    options = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}
    with (
        own_server(lake, **options) as (server, songs),
        Cluster(options=options, without_files=True) as standby,
    ):
        server.program(
            "pg_basebackup", "-D", standby.data, "-h", server.folder, "-p", server.port,
            "-U", "postgres", "-R", "-X", "stream",
        )  # fmt: skip
        standby.start()
        # A standby is followed as well: it replays one history.
        songs.dsn = standby.dsn()
        songs.land()
        songs.publish()
        server.ask(update(4, "replayed"))
        standby.wait(lambda: source(standby)[key(4)] == "replayed")
        songs.land()
        assert (songs.kind(), landed(songs)) == (CHANGES, {key(4): "replayed"})
        standby.stop(signal.SIGQUIT)

        songs.dsn = server.dsn()
        for number in range(9):
            server.ask(update(1, f"lost {number}"))
        songs.land()
        songs.publish()
        server.stop(signal.SIGQUIT)
        standby.start()
        standby.program("pg_ctl", "promote", "-w", "-D", standby.data)
        for number in range(30):
            standby.ask(update(2, f"kept {number}"))
        songs.dsn = standby.dsn()

        songs.land()

        assert songs.published
        assert songs.in_use.source["identity"]["timeline"] == "00000002"
        assert songs.published.source["identity"]["timeline"] == "00000001"
        assert (songs.kind(), landed(songs)) == (FULL, source(standby))


def test_a_cursor_half_the_circle_behind_is_of_no_use(lake: Lake) -> None:
    with own_server(lake) as (server, songs):
        server.stop()
        server.program("pg_resetwal", "-f", "-e", 1, server.data)
        server.start()
        songs.land()
        songs.publish()
        assert songs.published
        ours = int(songs.published.source["cursor"])
        assert ours > 2**32, "else this test tries nothing"
        server.ask(update(1, "changed"))
        for behind, too_far in ((2**30, False), (2**31, True), (2**31 + 2**20, True), (2**32 - 2**20, True)):
            songs.published.source["cursor"] = str(ours - behind)

            notes = songs.land().notes

            assert any("too many transactions" in note for note in notes) is too_far, behind
            assert songs.in_use.digest != songs.published.digest, f"{behind}: the change was missed"
            assert landed(songs) == source(server)


def test_a_role_that_may_not_ask_how_the_server_is_follows_it_by_the_rest(lake: Lake) -> None:
    forbidden = (
        "pg_control_system()", "pg_control_checkpoint()", "pg_postmaster_start_time()", "pg_current_wal_insert_lsn()",
        "pg_walfile_name(pg_lsn)",
    )  # fmt: skip
    with own_server(lake) as (server, songs):
        server.ask("create role reader login; grant usage on schema deftunes to reader")
        server.ask("grant select on deftunes.songs to reader")
        for function in forbidden:
            server.ask(f"revoke execute on function {function} from public")
        server.ask("revoke select on pg_stat_bgwriter from public")
        songs.dsn = psycopg2.extensions.make_dsn(server.dsn(), user="reader")
        songs.land()
        songs.publish()
        unsaid = {name for name, fact in songs.in_use.source["identity"].items() if fact is None}
        assert unsaid == {"system", "timeline", "server start", "crash recovery"}
        assert songs.in_use.source["position"] is None
        server.ask(update(1, "changed"))
        songs.land()
        assert (songs.kind(), landed(songs)) == (CHANGES, {key(1): "changed"})
        server.ask("alter table deftunes.songs drop title, add title text default 'x'")
        songs.land()
        assert songs.kind() == FULL


def test_a_full_read_lists_what_was_written_since_the_cursor(catalogue: LandedSongs) -> None:
    prepare(catalogue)
    base = catalogue.in_use.key
    catalogue.sql("update deftunes.songs set title = 'x' where track_id = 'TR0000000000000003'")

    catalogue.land(full_after=0)

    assert (catalogue.kind(), catalogue.in_use.source["check"]) == (FULL, base)
    assert catalogue.table(1).column("track_id").to_pylist() == [key(3)]


def test_a_table_that_is_rewritten_while_it_is_read_is_not_empty(catalogue: LandedSongs) -> None:
    """A rewrite waits for the read; without its lock the snapshot would be older than every row."""
    from deftunes.adapters.songs_source import SongsSource

    prepare(catalogue)
    with SongsSource(catalogue.dsn).snapshot() as songs:
        catalogue.sql("set lock_timeout = '300ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            catalogue.sql("alter table deftunes.songs alter year type bigint")
        assert songs.compare(0).rows == ROWS + 1
    catalogue.sql("set lock_timeout = 0", "alter table deftunes.songs alter year type bigint")
