-- One JSON document for each wanted relation. Parameters: schemas and names, in two arrays of one length.
select
    json_build_object(
        'schema', n.nspname,
        'name', c.relname,
        'relkind', c.relkind::text,
        'comment', obj_description(c.oid, 'pg_class'),
        'estimated_rows', c.reltuples::float8,
        'may_delete', has_table_privilege(c.oid, 'DELETE'),
        'may_trigger', has_table_privilege(c.oid, 'TRIGGER'),
        'owner', pg_has_role(c.relowner, 'USAGE'),
        'row_security_active', row_security_active(c.oid),
        'columns', (
            select coalesce(json_agg(json_build_object(
                'name', a.attname,
                'type', a.atttypid::bigint,
                'modifier', a.atttypmod,
                'not_null', a.attnotnull,
                'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
                'generated', a.attgenerated::text,
                'identity', a.attidentity::text,
                'comment', col_description(c.oid, a.attnum),
                'may_select', has_column_privilege(c.oid, a.attnum, 'SELECT'),
                'may_insert', has_column_privilege(c.oid, a.attnum, 'INSERT'),
                'may_update', has_column_privilege(c.oid, a.attnum, 'UPDATE')
            ) order by a.attnum), '[]')
            from pg_attribute a
            left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ),
        'unique', (
            select coalesce(json_agg(json_build_object(
                'primary', i.indisprimary,
                'columns', (
                    select json_agg(a.attname order by k.place)
                    from unnest(i.indkey::int2[]) with ordinality as k (attnum, place)
                    join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                    where k.place <= i.indnkeyatts
                )
            ) order by not i.indisprimary, i.indexrelid), '[]')
            from pg_index i
            where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        ),
        'foreign_keys', (
            select coalesce(json_agg(json_build_object(
                'schema', fn.nspname,
                'name', fc.relname,
                'columns', (
                    select json_agg(a.attname order by k.place)
                    from unnest(o.conkey) with ordinality as k (attnum, place)
                    join pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.attnum
                ),
                'referenced_columns', (
                    select json_agg(a.attname order by k.place)
                    from unnest(o.confkey) with ordinality as k (attnum, place)
                    join pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.attnum
                )
            ) order by o.conname), '[]')
            from pg_constraint o
            join pg_class fc on fc.oid = o.confrelid
            join pg_namespace fn on fn.oid = fc.relnamespace
            where o.conrelid = c.oid and o.contype = 'f'
        ),
        'checks', (
            select coalesce(json_agg(json_build_object(
                'name', o.conname,
                'definition', pg_get_constraintdef(o.oid)
            ) order by o.conname), '[]')
            from pg_constraint o
            where o.conrelid = c.oid and o.contype = 'c'
        )
    )::text
from unnest($1::text[], $2::text[]) as wanted (schema, name)
join pg_namespace n on n.nspname = wanted.schema
join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
where c.relkind in ('r', 'p', 'v', 'm', 'f')
