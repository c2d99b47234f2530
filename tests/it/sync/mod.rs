//! The built binary, a real Postgres, and Notion over HTTP: what sync promises, end to end.

mod adopt;
mod budgets;
mod drift;
mod duplicates;
mod existence;
mod face;
mod faults;
mod fields;
mod gone;
mod guards;
mod keys;
mod profiles;
mod saved;
pub(crate) mod world;

/// One table of everything, in two organisations.
pub(crate) const THINGS: &str = "
create table groups (id text primary key, name text not null, org text, parent_id text references groups);
create table things (
    id text primary key, name text not null, org text, kind text, amount int check (amount >= 0), done boolean,
    note text, created_at text, meta json, group_id text references groups, email text unique
);
insert into groups values ('g1', 'First', 'cal', null), ('g2', 'Second', 'cal', 'g1'), ('x1', 'Elsewhere', 'tex', null);
insert into things values
    ('t1', 'One', 'cal', 'red', 1, true, 'a note', '2024-01-20T09:00:00', '{\"a\":  1}', 'g1', 'one@cal.example'),
    ('t2', 'Two 🚀', 'cal', 'blue', 2, false, null, '2024-01-20T09:05:12.345678', null, 'g2', null),
    ('t3', 'Three', 'cal', null, null, null, '', null, null, null, null),
    ('x1', 'Foreign', 'tex', 'red', 7, true, 'SENTINEL-TEX', '2024-02-02T10:00:00', null, 'x1', 'secret@tex.example');
";

pub(crate) const THINGS_MAPPING: &str = "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Things }
properties:
  Name: { type: title, column: name }
  Kind: { type: select, column: kind, options: [red, green, blue] }
  Amount: { type: number, column: amount }
  Done: { type: checkbox, column: done }
  Note: { type: rich_text, column: note }
  Created: { type: date, column: created_at, direction: to_notion, conversion: iso8601 }
  Meta: { type: rich_text, column: meta, direction: to_notion, conversion: json }
  Group: { type: relation, column: group_id, target: groups }
  Email: { type: email, column: email }
";

pub(crate) const GROUPS_MAPPING: &str = "version: 1
entity: groups
table: public.groups
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Groups }
properties:
  Name: { type: title, column: name }
  Parent: { type: relation, column: parent_id, target: groups }
";

pub(crate) const BOTH: &[(&str, &str)] = &[("things", THINGS_MAPPING), ("groups", GROUPS_MAPPING)];
