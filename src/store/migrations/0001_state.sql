-- The state of frames-sync. `{schema}` stands for the quoted schema name.
--
-- What is looked for stands in columns; the rest of a record is in `body`, as the program wrote it. `json` and not
-- `jsonb`: bodies are never searched, and `jsonb` refuses a NUL that a page may hold.

create table {schema}.lease (
    profile text primary key,
    holder text,
    epoch bigint not null,
    expires_at timestamptz
);

create table {schema}.link (
    id uuid primary key,
    profile text not null,
    entity text not null,
    key text not null,
    page_id text,
    phase text not null,
    incarnation bigint not null,
    rev bigint not null,
    look_again_at timestamptz,
    troubled boolean not null,
    codec_version integer not null,
    body json not null
);
-- The promise of no duplicates.
create unique index link_of_key on {schema}.link (profile, entity, key) where phase <> 'tombstone';
create unique index link_of_page on {schema}.link (profile, entity, page_id) where page_id is not null;
create index link_by_key on {schema}.link (profile, entity, key);
create index link_in_order on {schema}.link (profile, entity, id);
create index link_due on {schema}.link (profile, entity, look_again_at) where look_again_at is not null;

create table {schema}.intent (
    id uuid primary key,
    profile text not null,
    link uuid not null,
    entity text not null,
    pending boolean not null,
    sent_at timestamptz not null,
    body json not null
);
create index intent_of_link on {schema}.intent (link);
create index intent_pending on {schema}.intent (profile, entity) where pending;

create table {schema}.conflict (
    id uuid primary key,
    profile text not null,
    link uuid not null,
    entity text not null,
    open boolean not null,
    rev bigint not null,
    opened_at timestamptz not null,
    body json not null
);
create index conflict_of_link on {schema}.conflict (link) where open;
create index conflict_open on {schema}.conflict (profile, entity, opened_at) where open;

create table {schema}.audit (
    seq bigint generated always as identity primary key,
    id uuid not null unique,
    profile text not null,
    run uuid not null,
    link uuid,
    entity text not null,
    key text,
    side text not null,
    act text not null,
    at timestamptz not null,
    body json not null
);
create index audit_of_record on {schema}.audit (profile, entity, key, seq);
create index audit_of_run on {schema}.audit (run);
create index audit_of_link on {schema}.audit (link, at);
create index audit_deleted on {schema}.audit (profile, entity, side, at) where act = 'deleted';

create function {schema}.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception using errcode = 'insufficient_privilege', message = 'the audit log is append-only';
end $$;
create trigger audit_is_append_only before update or delete or truncate on {schema}.audit
    for each statement execute function {schema}.refuse_change();

create table {schema}.mark (
    profile text not null,
    entity text not null,
    body json not null,
    primary key (profile, entity)
);

create table {schema}.pin (
    profile text not null,
    name text not null,
    value text not null,
    primary key (profile, name)
);

create table {schema}.run (
    id uuid primary key,
    profile text not null,
    started_at timestamptz not null,
    body json not null
);
create index run_in_order on {schema}.run (profile, started_at);

create table {schema}.approval (
    profile text not null,
    hash text not null,
    expires_at timestamptz not null,
    primary key (profile, hash)
);

-- Who wants notes about which table: a note is written for each, and each removes its own.
create table {schema}.capture (
    profile text not null,
    entity text not null,
    relation oid not null,
    primary key (profile, entity)
);
create index capture_of_relation on {schema}.capture (relation);

create table {schema}.change_log (
    seq bigint generated always as identity primary key,
    profile text not null,
    entity text not null,
    old_key text,
    new_key text,
    op text not null,
    columns text[],
    at timestamptz not null
);
create index change_log_in_order on {schema}.change_log (profile, entity, seq);

-- Notes a changed row. Arguments: the key columns, in order. Never fails the statement that fires it: a note is a
-- hint, and full scans find what it missed.
create function {schema}.note_change() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set extra_float_digits = 1
set datestyle = 'ISO, YMD'
as $$
declare
    before jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    after jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    old_key text;
    new_key text;
    changed text[];
begin
    if before = after then
        return null;
    end if;
    select jsonb_agg(before ->> name order by place)::text, jsonb_agg(after ->> name order by place)::text
        into old_key, new_key
        from unnest(tg_argv) with ordinality as k (name, place);
    if tg_op = 'UPDATE' then
        select array_agg(key order by key) into changed
            from jsonb_each(after) where value is distinct from before -> key;
    end if;
    insert into {schema}.change_log (profile, entity, old_key, new_key, op, columns, at)
        select profile, entity,
            case when before is not null then old_key end,
            case when after is not null then new_key end,
            lower(tg_op), changed, clock_timestamp()
        from {schema}.capture where relation = tg_relid;
    perform pg_notify('frames_sync', profile || ' ' || entity)
        from {schema}.capture where relation = tg_relid;
    return null;
exception when others then
    return null;
end $$;

-- Notes every linked row of a truncated table. Never fails the statement either.
create function {schema}.note_truncate() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into {schema}.change_log (profile, entity, old_key, op, at)
        select l.profile, l.entity, l.key, 'truncate', clock_timestamp()
        from {schema}.capture c
        join {schema}.link l on l.profile = c.profile and l.entity = c.entity
        where c.relation = tg_relid and l.phase <> 'tombstone';
    perform pg_notify('frames_sync', profile || ' ' || entity)
        from {schema}.capture where relation = tg_relid;
    return null;
exception when others then
    return null;
end $$;

revoke all on function {schema}.note_change(), {schema}.note_truncate(), {schema}.refuse_change() from public;
