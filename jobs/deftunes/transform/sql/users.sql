-- Users: one landing -> validated users -> new versions, where the content differs from the newest one before.
--
-- `records` has a row per landed record, as conform.py typed it; `main` is silver as the batch was planned on it.
-- $rules: for each row rule its number where a row breaks it. Reasons are lines of one text. What is
-- rejected has an order: quarantine keeps the first of records of the same text.

-- name: counted
select *, case when user_id is null then 1 else count(*) over (partition by user_id) end as conflicting
from (
    select
        *,
        row_number() over (partition by digest order by record) as copy,
        count(*) over (partition by digest) as copies
    from records
) as each_copy
where copy = 1

-- name: users
select
    *,
    concat_ws(chr(10), problems, $rules,
        case when conflicting > 1 then 'several different records under one user_id' end) as reasons
from counted

-- name: read
select coalesce(sum(copies), 0) as records
from users

-- name: counts
select
    count(*) as received,
    count(*) filter (where reasons <> '') as rejected,
    count(*) filter (where conflicting > 1) as conflicting
from users

-- name: unknown
select distinct unknown
from users
where unknown is not null

-- name: rejected
select landing, record, reasons
from users
where reasons <> ''
order by digest

-- name: accepted
select record
from users
where reasons = '' and exists (select 1 from keys where keys.user_id = users.user_id)

-- name: mistaken
select user_id, effective_from
from main
where effective_from in ($withdrawn) or concat_ws('', $new_rules) <> ''

-- name: mended
select distinct effective_from
from mistaken

-- name: before
select *
from main
where not exists (
    select 1 from mistaken
    where mistaken.user_id = main.user_id and mistaken.effective_from = main.effective_from
)

-- name: newest
select $sent
from (
    select *, row_number() over (partition by user_id order by effective_from desc) as place
    from before
    where effective_from < $instant
) as versions
where place = 1

-- name: changed
select $sent from users where reasons = ''
except
select $sent from newest

-- name: silver
select user_id, $instant as effective_from, $content, $instant as ingested_at, '$batch_id' as batch_id
from changed

-- name: put_back
select user_id, effective_from, $content, ingested_at, batch_id
from before
where effective_from in ($mended)

-- name: held
select count(*) as versions
from main
where effective_from in ($instants)
