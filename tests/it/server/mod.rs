//! `serve`, as programs, browsers, Notion and strangers meet it: the built binary on a socket, over a real Postgres.

mod access;
mod api;
mod pages;
mod roles;
mod webhooks;
mod world;

/// Teams with a key that may be anything, and seats with a key of two columns.
const SQL: &str = "
create table teams (id text primary key, name text not null, note text, org text not null, size int check (size > 0));
insert into teams values ('t1', 'One', 'a note', 'cal', 1), ('t2', 'Two', null, 'cal', 2);
create table seats (hall text, number int, name text not null, org text not null, primary key (hall, number));
insert into seats values ('A,1', 1, 'Window', 'cal');
";

const TEAMS: &str = "version: 1
entity: teams
table: public.teams
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Teams }
conflict: manual
properties:
  Name: { type: title, column: name }
  Note: { type: rich_text, column: note }
  Size: { type: number, column: size }
";

const SEATS: &str = "version: 1
entity: seats
table: public.seats
key: [hall, number]
scope: { org: \"{{ vars.org }}\" }
notion: { title: Seats }
properties:
  Name: { type: title, column: name }
";

const BOTH: &[(&str, &str)] = &[("teams", TEAMS), ("seats", SEATS)];
