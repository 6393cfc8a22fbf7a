"""The warehouse as a DBA gives it: schemas that exist, a user with few rights, grants to others."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from deftunes.core.entities import Entity
from deftunes.core.errors import DeftunesError
from support.cluster import Cluster
from support.gold import assert_gold_matches_silver
from support.silver import T0, session_item, song_row
from support.warehouse import WarehousePipeline

D1, D3 = T0.date(), T0.date() + timedelta(days=2)
SCHEMAS = ("deftunes_transform", "deftunes_control", "deftunes_serving", "deftunes_bi_views")
RIGHTS = """
select n.nspname, c.relname, a.attname, acl.privilege_type, acl.grantee::regrole, acl.is_grantable
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attacl is not null,
aclexplode(coalesce(a.attacl, c.relacl)) acl
where n.nspname like 'deftunes%' and acl.grantee <> c.relowner order by 1, 2, 3, 4, 5
"""


@pytest.fixture(scope="module", autouse=True)
def _roles(cluster: Cluster) -> None:
    cluster.sql('create role owner login; create role "BI reader" login; create role auditor')


@pytest.fixture
def given(cluster: Cluster, databases: Callable[..., str]) -> str:
    """A database with our schemas, whose owner may create no other ones."""
    database = databases()
    cluster.sql(
        f"revoke create on database {database} from public; "
        + "".join(f"create schema {schema} authorization owner; " for schema in SCHEMAS),
        database,
    )
    return database


def test_schemas_that_exist_need_no_right_to_create_schemas(
    cluster: Cluster, given: str, end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(given, "owner"))
    end.load()
    end.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_a_missing_right_is_named(
    cluster: Cluster, databases: Callable[..., str], end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(databases(), "owner"))
    with pytest.raises(DeftunesError, match=r"permission denied for database \w+; docs/runbook.md") as refused:
        end.load()
    assert type(refused.value) is DeftunesError


def test_grants_by_others_survive_a_load_a_model_and_a_new_release(
    cluster: Cluster, given: str, end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(given, "owner"))
    end.load()
    end.model(D1, D3)
    for schema in SCHEMAS:
        cluster.sql(
            f'grant usage on schema {schema} to "BI reader"; '
            f'grant select on all tables in schema {schema} to "BI reader" with grant option',
            given, "owner",
        )  # fmt: skip
    cluster.sql(
        "grant select on deftunes_bi_views.user_activity_vw to public; "
        "grant select (user_id, sessions) on deftunes_bi_views.user_activity_vw to auditor; "
        "grant select (user_key) on deftunes_serving.dim_users to auditor",
        given, "owner",
    )  # fmt: skip
    before = cluster.sql(RIGHTS, given)
    assert before.count("\n") >= 13
    end.silver.upsert_songs([song_row(1, title="new")])
    end.load()
    end.model(D1, D3)
    assert cluster.sql(RIGHTS, given) == before
    identity = "select 'deftunes_bi_views.user_activity_vw'::regclass::oid"
    first = cluster.sql(identity, given)
    release = end.with_view_changed("user_activity_vw", "final as (", "last as (")
    release = release.with_view_changed("user_activity_vw", "from final", "from last")
    release.model(D1, D3)
    assert cluster.sql(identity, given) != first
    assert cluster.sql(RIGHTS, given) == before
    seen = cluster.sql("select count(*) from deftunes_bi_views.user_activity_vw", given, "BI reader")
    assert int(seen) > 0


def test_what_others_built_on_a_view_stands_until_a_release_changes_that_view(
    cluster: Cluster, given: str, end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(given, "owner"))
    end.load()
    end.model(D1, D3)
    cluster.sql(
        "create schema analyst; "
        "create view analyst.buyers as select user_id, sum(items) as items from deftunes_bi_views.user_activity_vw "
        "group by user_id; create view analyst.most as select max(items) from analyst.buyers; "
        "create view analyst.fresh as select data_through from deftunes_bi_views.data_as_of_vw",
        given,
    )
    identity = "select string_agg(oid::text, ' ' order by oid) from pg_class where relkind = 'm' or relname ~ '_vw$'"
    views = cluster.sql(identity, given)
    end.silver.replace_days({D1: [session_item(1, 1, at=T0), session_item(3, 1, at=T0)]})
    end.load()
    # A comment, a view of another name, and all of gold computed anew: no view has another meaning.
    release = end.with_view_changed("sales_per_artist_vw", "final as (", "/* new */ final as (")
    release.model(D1, D3)
    end.model(D1, D3, everything=True)
    assert cluster.sql(identity, given) == views
    held = "select sum(items) from deftunes_bi_views.user_activity_vw"
    assert cluster.sql("select sum(items) from analyst.buyers", given) == cluster.sql(held, given) == "3"
    assert_gold_matches_silver(end.warehouse, end.silver.rows)
    # Another view is replaced, and this one keeps what stands on it.
    other = end.with_view_changed("sales_per_artist_vw", "sum(sales.price) as", "sum(sales.price) + 0 as")
    other.model(D1, D3)
    assert cluster.sql("select count(*) from analyst.most", given) == "1"
    changed = other.with_view_changed("user_activity_vw", "count(*) as sessions", "count(*) + 0 as sessions")
    with pytest.raises(DeftunesError, match=r"view analyst\.buyers depends on .*pg_get_viewdef") as refused:
        changed.model(D1, D3)
    assert type(refused.value) is DeftunesError
    assert cluster.sql("select count(*) from analyst.most", given) == "1"
    assert cluster.sql("select count(*) from analyst.fresh", given) == "1"
    cluster.sql("drop view analyst.most, analyst.buyers", given)
    changed.model(D1, D3)
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_an_index_that_a_release_adds_is_made_and_the_view_is_fresh(
    cluster: Cluster, given: str, end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(given, "owner"))
    end.load()
    end.model(D1, D3)
    end.silver.replace_days({D1: [session_item(1, 1, at=T0), session_item(3, 1, at=T0)]})
    end.load()
    index = "{'columns': ['session_year', 'artist_id', 'currency'], 'unique': true}"
    release = end.with_view_changed("sales_per_artist_vw", index, f"{index}, {{'columns': ['artist_name']}}")
    release.model(D1, D3)
    indexes = "select count(*) from pg_indexes where tablename = 'sales_per_artist_vw'"
    assert cluster.sql(indexes, given) == "2"
    assert_gold_matches_silver(end.warehouse, end.silver.rows)


def test_an_entity_of_another_owner_is_named(
    cluster: Cluster, given: str, end_of: Callable[..., WarehousePipeline]
) -> None:
    end = end_of(cluster.dsn(given, "owner"))
    end.load()
    cluster.sql("alter table deftunes_transform.songs owner to postgres", given)
    end.silver.upsert_songs([song_row(1, title="new")])
    with pytest.raises(DeftunesError, match="permission denied for table songs") as refused:
        end.load(Entity.SONGS)
    assert type(refused.value) is DeftunesError
