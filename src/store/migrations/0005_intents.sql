-- How long an intent is kept goes by when it could no longer be open, and for one that was given up by when that was: nobody may
-- have looked for longer than it is of use.

alter table {schema}.intent rename column sent_at to settle_after;
