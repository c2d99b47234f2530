-- Webhooks of each profile, and conflicts in the order they were opened.

-- The token signs deliveries, so whoever reads this table can make hints up; hints carry no data.
create table {schema}.webhook (
    profile text primary key,
    token text,
    integration_id text,
    enrolled_at timestamptz,
    -- Until when a handshake may bring a token.
    open_until timestamptz
);

create index conflict_in_order on {schema}.conflict (profile, opened_at);
