-- Sessions: landed rows -> validated sessions -> the items of the newest record of each.
--
-- `records` has a row per session (item_number NULL, with its record) and one per item, as conform.py typed them.
-- $session_rules, $item_rules: for each row rule its number where a row breaks it. Reasons are lines of one text. What is
-- rejected has an order: quarantine keeps the first of records of the same text.

-- name: parsed
select *
from (
    select
        *,
        row_number() over (partition by unit, digest, item_number order by record) as copy,
        count(*) over (partition by unit, digest, item_number) as copies
    from records
) as each_copy
where copy = 1

-- name: read
select coalesce(sum(copies), 0) as records
from parsed
where item_number is null

-- name: counted
select *, case when session_id is null then 1 else count(*) over (partition by unit, session_id) end as conflicting
from parsed
where item_number is null

-- name: sessions
select
    unit, landing, dated, ingested_at, digest, record, session_id, unknown, conflicting,
    greatest(item_count, 1) as items,
    concat_ws(chr(10), problems, $session_rules,
        case when conflicting > 1 then 'several different records under one session_id' end) as reasons
from counted

-- name: winners
select unit, digest
from (
    select unit, digest, row_number() over (partition by session_id order by ingested_at desc, unit desc) as place
    from sessions
    where dated and reasons = ''
) as places
where place = 1

-- name: sold
select *
from parsed
where
    item_number is not null
    and exists (select 1 from winners where winners.unit = parsed.unit and winners.digest = parsed.digest)

-- name: items
select *, concat_ws(chr(10), problems, $item_rules) as reasons
from sold

-- name: counts
select
    coalesce(sum(items) filter (where dated), 0) as received,
    coalesce(sum(items) filter (where dated and reasons <> ''), 0) as rejected,
    count(*) filter (where dated and reasons <> '') as sessions_rejected,
    count(*) filter (where dated and conflicting > 1) as conflicting
from sessions

-- name: items_rejected
select count(*) as items, count(distinct digest) as sessions
from items
where reasons <> ''

-- name: unknown
select distinct unknown
from sessions
where unknown is not null

-- name: rejected_sessions
select landing, record, reasons
from sessions
where reasons <> '' or not dated
order by landing, digest

-- name: rejected_items
select unit, digest, landing, item_number, reasons
from items
where reasons <> ''
order by unit, digest, item_number

-- name: accepted_sessions
select record
from sessions
where dated and reasons = '' and exists (select 1 from keys where keys.session_id = sessions.session_id)

-- name: accepted_items
select unit, digest, landing, item_number, reasons
from items
where reasons = '' and exists (select 1 from keys where keys.session_id = items.session_id)
order by unit, digest, item_number

-- name: records_of
select unit, digest, record
from sessions
where exists (select 1 from ($items) as asked where asked.unit = sessions.unit and asked.digest = sessions.digest)
order by unit, digest

-- name: landed_ids
select distinct session_id
from parsed
where item_number is null and session_id is not null and dated

-- name: displaced
select distinct cast(session_start_time as date) as day
from elsewhere
where exists (select 1 from landed_ids where landed_ids.session_id = elsewhere.session_id)

-- name: links
select distinct here.unit as day, there.unit as other
from parsed as here
inner join parsed as there on there.session_id = here.session_id and there.unit <> here.unit
where here.item_number is null and there.item_number is null and here.dated and there.dated

-- name: silver
select $sent, ingested_at, '$batch_id' as batch_id
from items
where reasons = ''
