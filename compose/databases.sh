#!/usr/bin/env bash
# A role and a database each for the shop's catalogue, the warehouse and Airflow, and a role that may only read the
# catalogue. What is there already stays; passwords become today's.
set -euo pipefail

psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname postgres \
  --set=shop="${SHOP_PASSWORD:?}" --set=reader="${READER_PASSWORD:?}" \
  --set=warehouse="${WAREHOUSE_PASSWORD:?}" --set=airflow="${AIRFLOW_PASSWORD:?}" <<'SQL'
select format('create role %I login', name)
from unnest(array['shop', 'reader', 'warehouse', 'airflow']) as name
where not exists (select from pg_roles where rolname = name) \gexec
alter role shop password :'shop';
alter role reader password :'reader';
alter role warehouse password :'warehouse';
alter role airflow password :'airflow';

select format('create database %I owner %I', name, name)
from unnest(array['shop', 'warehouse', 'airflow']) as name
where not exists (select from pg_database where datname = name) \gexec
revoke all on database shop, warehouse, airflow from public;
grant connect on database shop to reader;

\connect shop
create schema if not exists deftunes authorization shop;
grant usage on schema deftunes to reader;
alter default privileges for role shop in schema deftunes grant select on tables to reader;
SQL
