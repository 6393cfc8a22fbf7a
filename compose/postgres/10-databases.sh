#!/usr/bin/env bash
# Run once by PostgreSQL's entry point, on an empty data folder: a role and a database each for the shop's catalogue, the
# warehouse and Airflow, and a role that may only read the catalogue.
set -euo pipefail

for name in SHOP_PASSWORD READER_PASSWORD WAREHOUSE_PASSWORD AIRFLOW_PASSWORD; do
  : "${!name:?}"
done

psql --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --set=shop="$SHOP_PASSWORD" --set=reader="$READER_PASSWORD" \
  --set=warehouse="$WAREHOUSE_PASSWORD" --set=airflow="$AIRFLOW_PASSWORD" <<'SQL'
create role shop login password :'shop';
create role reader login password :'reader';
create role warehouse login password :'warehouse';
create role airflow login password :'airflow';
create database shop owner shop;
create database warehouse owner warehouse;
create database airflow owner airflow;
revoke all on database shop, warehouse, airflow from public;
grant connect on database shop to reader;
\connect shop
create schema deftunes authorization shop;
grant usage on schema deftunes to reader;
alter default privileges for role shop in schema deftunes grant select on tables to reader;
SQL
