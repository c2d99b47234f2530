-- What is kept for a while only: audit entries, runs, conflicts that are closed, approvals that have ended.

create index audit_by_age on {schema}.audit (profile, at);
alter table {schema}.conflict add column closed_at timestamptz;

-- The audit log is append-only but for `forget`, which says so by a setting of its own.
create or replace function {schema}.refuse_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' and current_setting('frames_sync.forgets', true) = 'on' then
        return null;
    end if;
    raise exception using errcode = 'insufficient_privilege', message = 'the audit log is append-only';
end $$;

-- Forgets what a profile has from before an instant: some at a time, for it is called after every cycle. The role that
-- runs it has no right to delete from the audit log itself.
create function {schema}.forget(of_profile text, before timestamptz) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- The guards count what was deleted and written within a day.
    if before > clock_timestamp() - interval '1 day' then
        raise exception using errcode = 'invalid_parameter_value', message = 'the last day is never forgotten';
    end if;
    -- Not by a SET clause of the function: only superusers may give one to a setting that no extension has declared.
    perform set_config('frames_sync.forgets', 'on', true);
    delete from {schema}.audit where seq in (
        select seq from {schema}.audit where profile = of_profile and at < before order by at limit 10000);
    perform set_config('frames_sync.forgets', 'off', true);
    delete from {schema}.run where id in (
        select id from {schema}.run where profile = of_profile and started_at < before
        order by started_at limit 1000);
    delete from {schema}.conflict where id in (
        select id from {schema}.conflict
        where profile = of_profile and not open and opened_at < before and coalesce(closed_at, opened_at) < before
        order by opened_at limit 1000);
    delete from {schema}.approval where profile = of_profile and expires_at < clock_timestamp();
end $$;
revoke all on function {schema}.forget(text, timestamptz) from public;
