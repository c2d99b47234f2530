-- One JSON document for each type that columns have, and for those under it: a domain's base, an array's element.
-- Parameter: the columns' type ids.
with recursive reached (oid) as (
    select unnest($1::bigint[])
    union
    select under.oid
    from reached r
    join pg_type t on t.oid = r.oid
    cross join lateral (
        values
            (case when t.typtype = 'd' then t.typbasetype::bigint end),
            (case when t.typcategory = 'A' then t.typelem::bigint end)
    ) as under (oid)
    where under.oid is not null
)
select
    json_build_object(
        'id', t.oid::bigint,
        'internal', case when n.nspname = 'pg_catalog' then t.typname end,
        'type_name', t.typname,
        'name', format_type(t.oid, null),
        'element', case when t.typcategory = 'A' then nullif(t.typelem::bigint, 0) end,
        'base', case when t.typtype = 'd' then t.typbasetype::bigint end,
        'base_modifier', t.typtypmod,
        'not_null', t.typnotnull,
        'labels', (
            select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid
        ),
        'checks', (
            select json_agg(json_build_object(
                'name', o.conname,
                'definition', pg_get_constraintdef(o.oid)
            ) order by o.conname)
            from pg_constraint o
            where o.contypid = t.oid and o.contype = 'c'
        )
    )::text
from reached r
join pg_type t on t.oid = r.oid
join pg_namespace n on n.oid = t.typnamespace
