-- Erasing what the audit log holds, and ending entries that are old enough: by the schema's owner, who says so for one
-- transaction. The runtime role has neither the right to update nor to delete, and the setting gives it none.

create or replace function {schema}.refuse_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' and current_setting('frames_sync.forgets', true) = 'on' then
        return null;
    end if;
    if tg_op <> 'TRUNCATE' and current_setting('frames_sync.erasing', true) = 'on' then
        return null;
    end if;
    raise exception using errcode = 'insufficient_privilege', message = 'the audit log is append-only';
end $$;
