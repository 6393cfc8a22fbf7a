-- Songs: the landings of a chain -> one validated row per track -> what differs from main.
--
-- `landed` has the rows of every landing, typed by numbers.py, with the landing's place in the chain; `keys` has the
-- tracks that the source holds, where the chain says which. `main` is silver as the batch was planned on it.
-- $rules: for each row rule its number where a row breaks it. Reasons are lines of one text. What is
-- rejected has an order: quarantine keeps the first of records of the same text.

-- name: several
select track_id
from landed
where track_id is not null
group by track_id
having count(*) > 1

-- name: counted
select $landed, 1 as conflicting
from landed
where not exists (select 1 from several where several.track_id = landed.track_id)
union all
select $landed, count(*) over (partition by track_id) as conflicting
from (
    select distinct $landed
    from (
        select *, max(place) over (partition by track_id) as newest
        from landed
        where exists (select 1 from several where several.track_id = landed.track_id)
    ) as places
    where place = newest
) as newest_of_each

-- name: songs
select
    *,
    concat_ws(chr(10), problems, $rules,
        case when conflicting > 1 then 'several different records under one track_id' end) as reasons
from counted

-- name: counts
select
    count(*) as received,
    count(*) filter (where reasons <> '') as rejected,
    count(*) filter (where conflicting > 1) as conflicting
from songs

-- name: rejected
select landing, as_landed, reasons, $sent
from songs
where reasons <> ''
order by place, $sent

-- name: accepted
select landing, as_landed, reasons, $sent
from songs
where reasons = '' and exists (select 1 from wanted where wanted.track_id = songs.track_id)

-- name: changed
select $sent, false as is_deleted from songs where reasons = ''
except
select $sent, coalesce(is_deleted, false) from main

-- name: changed_of_keys
select * from changed where exists (select 1 from keys where keys.track_id = changed.track_id)
union all
select $sent, true as is_deleted
from main
where
    not coalesce(is_deleted, false)
    and not exists (select 1 from keys where keys.track_id = main.track_id)

-- name: missed
select track_id
from changes
where not is_deleted and not exists (select 1 from written where written.track_id = changes.track_id)

-- name: missed_songs
select count(*) as songs from missed

-- name: first_missed
select track_id from missed order by track_id limit 3

-- name: silver
select $sent, is_deleted, $instant as ingested_at, '$batch_id' as batch_id
from changes
