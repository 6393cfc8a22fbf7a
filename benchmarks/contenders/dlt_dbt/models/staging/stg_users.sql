select
    user_id,
    user_name,
    user_lastname,
    cast(user_since as timestamptz) as user_since,
    cast(user_location as jsonb) ->> 2 as place_name,
    cast(user_location as jsonb) ->> 3 as country_code,
    cast(user_location as jsonb) ->> 4 as timezone
from {{ source('raw', 'users') }}
