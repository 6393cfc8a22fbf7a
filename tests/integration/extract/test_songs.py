import csv
import gzip
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from deftunes.adapters.lake import Lake
from deftunes.adapters.songs_source import SongsSource
from deftunes.core import failpoints
from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError, RefusedError, RetriableError
from deftunes.core.failpoints import Failpoint
from deftunes.extract.songs import CHANGES, FULL, land_songs
from deftunes.state.landings import Landings, Receipt
from song_catalog.changes import mutate, spoil
from song_catalog.loader import load_csv
from song_catalog.songs import COLUMNS
from support.landed_songs import INTERVAL, LandedSongs, key
from support.stack import Stack


@pytest.fixture
def published(catalogue: LandedSongs) -> LandedSongs:
    """Five hundred songs, landed and published."""
    catalogue.load(500)
    catalogue.land()
    catalogue.publish()
    return catalogue


def test_the_first_landing_holds_every_row_in_its_exact_type(catalogue: LandedSongs) -> None:
    catalogue.load(2000)

    landed = catalogue.land()

    assert landed.written == ("snapshot",)
    assert (landed.rows, catalogue.in_use.rows, catalogue.kind()) == (2000, 2000, FULL)
    assert [tuple(row.values()) for row in catalogue.rows()] == catalogue.source_rows()
    types = [str(field.type) for field in catalogue.table().schema]
    assert types == ["string"] * 7 + ["double"] * 3 + ["int32"] * 4
    assert catalogue.table().schema.names == list(COLUMNS)
    assert [part.key.rpartition("/")[2] for part in catalogue.in_use.parts] == ["part-00000.parquet"]


def test_text_is_landed_byte_for_byte_and_null_is_not_empty(catalogue: LandedSongs) -> None:
    titles = [
        None, "", " ", "a\tb", "a\nb\r\n", '"quoted", \'and\'', "\\N", "\\", "naïve 🎵", "\u202e", "\x13\x19", "NULL",
        "\ufeff",
    ]  # fmt: skip
    with catalogue.connection.cursor() as cursor:
        for number, title in enumerate(titles):
            cursor.execute(
                "insert into deftunes.songs (track_id, title, duration, year) values (%s, %s, %s, %s)",
                (key(number), title, None if title is None else 0.1 + 0.2, None if title is None else -(2**31)),
            )

    catalogue.land()

    assert [row["title"] for row in catalogue.rows()] == titles
    assert {row["duration"] for row in catalogue.rows()[1:]} == {0.30000000000000004}
    assert {row["year"] for row in catalogue.rows()[1:]} == {-(2**31)}
    assert set(catalogue.rows()[0].values()) == {key(0), None}


def test_an_empty_table_is_a_landing_without_rows(catalogue: LandedSongs) -> None:
    assert catalogue.land().written == ("snapshot",)
    assert catalogue.table().num_rows == 0
    assert catalogue.table().schema.names == list(COLUMNS)


def test_nothing_new_writes_nothing(published: LandedSongs) -> None:
    before = published.objects()

    for options in ({}, {"conflicting": 3}, {"full_after": 0}):
        landed = published.land(**options)
        assert (landed.written, landed.unchanged, landed.rows) == ((), ("snapshot",), 0)
    assert published.objects() == before


def test_a_second_full_read_of_the_same_rows_writes_nothing(published: LandedSongs) -> None:
    before = published.objects()

    landed = published.land(force_full=True)

    assert (landed.written, landed.unchanged, landed.rows) == ((), ("snapshot",), 500)
    assert published.objects() == before


def test_only_what_changed_is_landed(published: LandedSongs) -> None:
    base = published.in_use
    published.connection.autocommit = False
    mutate(published.connection, seed=7, updates=9, inserts=4, deletes=0)
    published.connection.autocommit = True

    published.land()

    assert (published.kind(), published.in_use.rows, published.in_use.source["rows"]) == (CHANGES, 13, 504)
    assert (published.in_use.source["base"], published.in_use.source["chain"]) == (base.key, 1)
    source = {row[0]: row for row in published.source_rows()}
    assert [tuple(row.values()) for row in published.rows()] == [source[key] for key in published.landed_keys()]
    assert published.table(1).num_rows == 504, "new keys change the set of keys"


def test_an_update_alone_needs_no_keys(published: LandedSongs) -> None:
    published.sql("update deftunes.songs set title = 'x' where ctid in (select ctid from deftunes.songs limit 3)")

    published.land()

    assert (published.in_use.rows, len(published.in_use.parts)) == (3, 1)


def test_a_deletion_is_known_from_the_keys_that_are_left(published: LandedSongs) -> None:
    keys = published.landed_keys()
    published.sql(f"delete from deftunes.songs where track_id = '{keys[0]}'")

    published.land()

    assert (published.kind(), published.in_use.rows) == (CHANGES, 0)
    assert sorted(published.table(1).column("track_id").to_pylist()) == sorted(keys[1:])
    assert published.table(1).schema.names == ["track_id"]


def test_a_key_for_a_key_is_a_change_although_the_count_stays(published: LandedSongs) -> None:
    published.sql(f"update deftunes.songs set track_id = '{key(1)}' where track_id = '{published.landed_keys()[0]}'")

    published.land()

    assert published.landed_keys() == [key(1)]
    assert key(1) in published.table(1).column("track_id").to_pylist()


def test_with_a_changed_row_every_row_under_its_key_is_landed(published: LandedSongs) -> None:
    double = published.landed_keys()[5]
    published.sql(f"insert into deftunes.songs (track_id, title) values ('{double}', 'other'), (null, 'no key')")

    published.land()

    assert sorted(map(str, published.landed_keys())) == sorted([double, double, "None"])
    assert published.table(1).num_rows == 502


def test_after_conflicts_a_change_lands_all_rows(published: LandedSongs) -> None:
    published.connection.autocommit = False
    spoil(published.connection, ["track_id_duplicate"])
    published.connection.autocommit = True
    published.land()
    published.publish()
    published.sql("delete from deftunes.songs where title = 'Another'")

    published.land(conflicting=2)

    assert (published.kind(), published.in_use.rows) == (FULL, 501)


def test_changes_count_from_the_published_landing_until_another_is_published(published: LandedSongs) -> None:
    first, second = published.landed_keys()[:2]
    published.sql(f"update deftunes.songs set title = 'one' where track_id = '{first}'")
    published.land()
    published.sql(f"update deftunes.songs set title = 'two' where track_id = '{second}'")
    published.land()
    assert sorted(published.landed_keys()) == sorted([first, second]), "the first change was never published"

    published.publish()
    published.sql(f"update deftunes.songs set title = 'three' where track_id = '{second}'")
    published.land()

    assert published.landed_keys() == [second]
    assert published.in_use.source["chain"] == 2


def test_an_unpublished_change_that_was_taken_back_is_superseded(published: LandedSongs) -> None:
    published.sql(f"insert into deftunes.songs (track_id) values ('{key(1)}')")
    published.land()
    published.sql(f"delete from deftunes.songs where track_id = '{key(1)}'")

    landed = published.land()

    assert landed.written == ("snapshot",)
    assert (published.kind(), published.in_use.rows, published.in_use.source["rows"]) == (CHANGES, 0, 500)
    assert published.land().written == ()


def test_a_transaction_that_commits_late_is_not_missed(published: LandedSongs, stack: Stack) -> None:
    first, second = published.landed_keys()[:2]
    slow = psycopg2.connect(published.dsn)
    slow.cursor().execute(f"update deftunes.songs set title = 'slow' where track_id = '{first}'")
    published.sql(f"update deftunes.songs set title = 'fast' where track_id = '{second}'")
    published.land()
    published.publish()
    assert published.landed_keys() == [second]
    slow.commit()
    slow.close()

    published.land()

    assert first in published.landed_keys()


def test_freezing_and_rewriting_the_table_are_no_changes(published: LandedSongs) -> None:
    for statement in ("vacuum freeze deftunes.songs", "vacuum full deftunes.songs", "analyze deftunes.songs"):
        published.sql(statement)
        assert published.land().written == ()

    published.sql(f"update deftunes.songs set title = 'x' where track_id = '{published.landed_keys()[0]}'")
    published.sql("vacuum freeze deftunes.songs")
    published.land()
    assert published.in_use.rows == 1


def recreate(catalogue: LandedSongs) -> None:
    catalogue.sql("create table deftunes.again as table deftunes.songs", "drop table deftunes.songs")
    catalogue.sql("alter table deftunes.again rename to songs")


def most_rows_change(catalogue: LandedSongs) -> None:
    catalogue.sql("update deftunes.songs set year = 1 where ctid in (select ctid from deftunes.songs limit 300)")


def forge(**source: object) -> Callable[[LandedSongs], None]:
    def change(catalogue: LandedSongs) -> None:
        assert catalogue.published
        catalogue.published.source.update(source)

    change.__name__ = f"forge_{'_'.join(source)}"
    return change


@pytest.mark.parametrize(
    "change",
    [
        recreate,
        most_rows_change,
        forge(identity=None),
        forge(identity={}),
        forge(position=str(2**63)),
        forge(cursor=str(2**40)),
        forge(cursor=None),
        forge(chain=30),
    ],
    ids=lambda change: change.__name__,
)
def test_all_rows_are_read_where_the_cursor_is_invalid_or_saves_little(
    published: LandedSongs, change: Callable[[LandedSongs], None]
) -> None:
    change(published)
    published.sql(f"update deftunes.songs set title = 'x' where track_id = '{published.landed_keys()[0]}'")

    published.land()

    assert (published.kind(), published.in_use.rows, published.in_use.source["chain"]) == (FULL, 500, 0)


def test_a_view_is_read_whole_each_time(catalogue: LandedSongs) -> None:
    catalogue.load(100)
    catalogue.sql("alter table deftunes.songs rename to stored", "create view deftunes.songs as table deftunes.stored")
    catalogue.land()
    catalogue.publish()
    assert catalogue.land().written == ()

    catalogue.sql("update deftunes.stored set title = 'x'")
    catalogue.land()

    assert (catalogue.kind(), catalogue.in_use.rows, catalogue.in_use.source["cursor"]) == (FULL, 100, None)


@pytest.mark.parametrize("loss", ["truncate deftunes.songs", "delete from deftunes.songs where ctid >= '(1,1)'"])
@pytest.mark.parametrize("force_full", [True, False])
def test_a_shrunk_table_is_refused_until_it_is_accepted(published: LandedSongs, loss: str, force_full: bool) -> None:
    published.sql(loss)
    before = published.objects()

    with pytest.raises(RefusedError, match=r"of the 500 rows.*--accept-shrink"):
        published.land(force_full=force_full)
    assert published.objects() == before

    assert published.land(force_full=force_full, accept_shrink=True).written == ("snapshot",)
    assert published.in_use.source["rows"] == len(published.source_rows()) < 400


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("drop table deftunes.songs", "expected the table deftunes.songs"),
        ("drop schema deftunes cascade", "expected the table deftunes.songs"),
        ("alter table deftunes.songs drop column artist_id", "artist_id missing"),
        ("alter table deftunes.songs rename title to name", "title missing"),
        ("alter table deftunes.songs alter title type bytea using null", "title bytea"),
        ("alter table deftunes.songs alter year type boolean using true", "year bool"),
    ],
)
def test_a_broken_table_changes_nothing(published: LandedSongs, statement: str, message: str) -> None:
    published.sql(statement)
    before = published.objects()

    with pytest.raises(DeftunesError, match=message) as caught:
        published.land()

    assert type(caught.value) is DeftunesError
    assert published.objects() == before


def test_a_number_of_another_type_is_read_exactly(catalogue: LandedSongs) -> None:
    catalogue.sql(
        "create domain deftunes.seconds as numeric(12,5)",
        "alter table deftunes.songs alter duration type deftunes.seconds, alter artist_familiarity type numeric, "
        "alter artist_hotttnesss type real, alter year type text, alter track_7digitalid type bigint, "
        "alter shs_perf type smallint, alter artist_mbid type uuid using null, alter track_id type char(18)",
        "insert into deftunes.songs (track_id, artist_mbid, duration, artist_familiarity, artist_hotttnesss, year, "
        f"track_7digitalid, shs_perf) values ('{key(1)}', '2c0be2ba-fa63-430f-afca-7499852158f6', 1.10, "
        "0.1000000000000000000001, 0.5, '1999', 9007199254740993, 3)",
    )

    catalogue.land()

    (row,) = catalogue.rows()
    assert [row["track_id"], row["artist_mbid"]] == [key(1), "2c0be2ba-fa63-430f-afca-7499852158f6"]
    assert [row["duration"], row["artist_familiarity"]] == ["1.10000", "0.1000000000000000000001"]
    assert [row["artist_hotttnesss"], row["year"], row["track_7digitalid"]] == [0.5, "1999", 9007199254740993]


def test_a_domain_is_read_as_what_it_is_made_of(catalogue: LandedSongs) -> None:
    catalogue.sql(
        "create domain deftunes.word as text", "create domain deftunes.title as deftunes.word",
        "create domain deftunes.number as int", "create domain deftunes.year as deftunes.number check (value > 0)",
        "alter table deftunes.songs alter title type deftunes.title, alter year type deftunes.year",
    )  # fmt: skip
    catalogue.sql(f"insert into deftunes.songs (track_id, title, year) values ('{key(1)}', 'Ça', 1999)")
    catalogue.land()
    (row,) = catalogue.rows()
    assert (row["title"], row["year"]) == ("Ça", 1999)


@pytest.mark.parametrize("ending", ["", "?", "?&", "?application_name=a&", "?application_name=a&&"])
@pytest.mark.parametrize("password", ["plain", "with?mark", "with?mark=and&more"])
def test_any_form_of_a_uri_is_read_as_libpq_reads_it(catalogue: LandedSongs, ending: str, password: str) -> None:
    parameters = psycopg2.extensions.parse_dsn(catalogue.dsn)
    catalogue.sql(f"insert into deftunes.songs (track_id) values ('{key(1)}')")
    host = parameters["host"].replace("/", "%2F")
    at = f"{host}:{parameters['port']}/{parameters['dbname']}"
    catalogue.dsn = f"postgresql://{parameters['user']}:{password}@{at}{ending}"
    catalogue.land()
    assert catalogue.landed_keys() == [key(1)]


def test_columns_that_nobody_asked_for_are_reported_and_left(published: LandedSongs) -> None:
    published.sql("alter table deftunes.songs add mood text, add tempo int", "update deftunes.songs set mood = 'blue'")

    landed = published.land()

    assert landed.notes == ("columns of deftunes.songs that are not landed: mood, tempo",)
    assert published.table().schema.names == list(COLUMNS)


def test_a_user_without_rights_is_an_error_with_its_sqlstate(published: LandedSongs) -> None:
    published.sql("drop role if exists reader", "create role reader login", "grant usage on schema deftunes to reader")
    dsn = psycopg2.extensions.make_dsn(published.dsn, user="reader")
    with pytest.raises(DeftunesError, match=r"permission denied.*SQLSTATE 42501") as caught:
        LandedSongs(published.connection, dsn, published.lake).land()
    assert not isinstance(caught.value, RetriableError)

    published.sql("grant select on deftunes.songs to reader")
    published.dsn, admin = dsn, published.dsn
    assert published.land().written == (), "a reader finds the same server and table"
    published.dsn = admin
    published.sql("drop owned by reader", "drop role reader")


@contextmanager
def clock_ahead(catalogue: LandedSongs, ahead: str) -> Iterator[None]:
    """The server tells this time: a function that its user finds before PostgreSQL's own."""
    catalogue.sql(
        "create schema clock",
        "create function clock.now() returns timestamptz language sql as "
        f"$$select pg_catalog.now() + interval '{ahead}'$$",
    )
    right = catalogue.dsn
    catalogue.dsn = psycopg2.extensions.make_dsn(right, options="-c search_path=clock,pg_catalog")
    try:
        yield
    finally:
        catalogue.dsn = right
        catalogue.sql("drop schema clock cascade")


def test_a_server_whose_clock_is_days_ahead_is_refused(published: LandedSongs) -> None:
    published.sql(f"insert into deftunes.songs (track_id) values ('{key(7)}')")
    before = published.objects()
    with (
        clock_ahead(published, "25 hours"),
        pytest.raises(DeftunesError, match=r"clock is of today.*Nothing was changed") as caught,
    ):
        published.land()
    assert type(caught.value) is DeftunesError
    assert published.objects() == before


def test_a_clock_that_was_ahead_freezes_nothing(published: LandedSongs) -> None:
    """Landed while our clock was ahead, too, or by an earlier release."""
    published.sql(f"insert into deftunes.songs (track_id) values ('{key(7)}')")
    with clock_ahead(published, "10 years"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("deftunes.extract.songs.MAX_CLOCK_SKEW", timedelta(days=5000))
        published.land()
    late = published.publish()
    published.sql(f"insert into deftunes.songs (track_id) values ('{key(8)}')")
    landed = published.land()
    assert published.landed_keys() == [key(8)]
    assert published.in_use.extracted_at < late.extracted_at
    assert f"withdrawn (landings: 1, first: {late.key})" in landed.notes[0]


def test_a_clock_that_was_set_back_by_days_is_refused(published: LandedSongs) -> None:
    published.sql(f"insert into deftunes.songs (track_id) values ('{key(7)}')")
    before = published.objects()
    with clock_ahead(published, "-25 hours"), pytest.raises(RefusedError, match=r"Have that clock corrected$"):
        published.land()
    assert published.objects() == before


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        ("host=127.0.0.1 port=1 user=u password=s3cret", RetriableError),
        ("s3cret", DeftunesError),
        ("postgresql://u:s3cret@127.0.0.1:x/db", DeftunesError),
    ],
)
def test_a_server_that_is_away_or_a_dsn_that_is_none(lake: Lake, dsn: str, kind: type[DeftunesError]) -> None:
    with pytest.raises(kind, match="DEFTUNES_SONGS_DSN") as caught:
        land_songs(
            SongsSource(dsn), Landings(lake, Entity.SONGS), INTERVAL,
            published=None, conflicting=0, full_after=9, max_shrink=1,
        )  # fmt: skip
    assert type(caught.value) is kind
    assert "s3cret" not in str(caught.value)
    assert list(lake.keys("")) == []


def test_a_connection_that_ends_in_mid_read_changes_nothing(published: LandedSongs) -> None:
    # The last row read ends the connection that reads it.
    published.sql(
        "create function deftunes.ended(text) returns text language sql volatile as "
        "$$ select case when $1 is null then pg_terminate_backend(pg_backend_pid())::text end $$",
        "alter table deftunes.songs rename to stored",
        "insert into deftunes.stored (track_id, title) values ('last', null)",
        f"create view deftunes.songs as select {', '.join(c for c in COLUMNS if c != 'release')}, "
        "case when track_id = 'last' then deftunes.ended(title) else release end as release from deftunes.stored",
    )
    before = published.objects()

    with pytest.raises(RetriableError, match=r"administrator command \(SQLSTATE 57P01\)"):
        published.land()

    assert published.objects() == before


def land_and_die(dsn: str, lake: Lake, published: Receipt | None, failpoint: Failpoint) -> None:
    failpoints.arm(failpoint)
    land_songs(
        SongsSource(dsn), Landings(lake, Entity.SONGS), INTERVAL,
        published=published, conflicting=0, full_after=30, max_shrink=1,
    )  # fmt: skip


@pytest.mark.parametrize("failpoint", [Failpoint.LANDING_BEFORE_RECEIPT, Failpoint.LANDING_AFTER_RECEIPT])
def test_killed_around_the_receipt_the_next_run_lands_the_same(published: LandedSongs, failpoint: Failpoint) -> None:
    changed = published.landed_keys()[3]
    good = published.in_use
    published.sql(f"update deftunes.songs set title = 'x' where track_id = '{changed}'")
    process = multiprocessing.get_context("fork").Process(
        target=land_and_die, args=(published.dsn, published.lake, published.published, failpoint)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -9
    written_before = failpoint is Failpoint.LANDING_AFTER_RECEIPT
    assert (published.in_use == good) is not written_before

    landed = published.land()

    assert landed.written == (() if written_before else ("snapshot",))
    assert published.landed_keys() == [changed]
    assert published.in_use.source["base"] == good.key


def test_a_catalogue_from_csv_is_landed_as_it_is_written_there(catalogue: LandedSongs, tmp_path: Path) -> None:
    first = [key(0), 'Sí, "x"', "SO1", "R\u0019s", "AR1", "", "A; B", "218.93179", "0.58179", "", "0", "1", "-1", "0"]
    second = [key(1), "", "SO2", " r ", "AR2", "", "x", "1.04444", "1.0825", "0.0", "1926", "2", "-1", "0"]
    file = tmp_path / "songs.csv.gz"
    with gzip.open(file, "wt", newline="") as text:
        csv.writer(text).writerows([list(COLUMNS), first, second])
    catalogue.connection.autocommit = False
    load_csv(catalogue.connection, file, replace=True)
    catalogue.connection.autocommit = True

    catalogue.land()

    landed = [["" if value is None else str(value) for value in row.values()] for row in catalogue.rows()]
    assert landed == [first, second]
