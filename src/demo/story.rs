//! The story, chapter by chapter, with the commands a user would type.

use serde_json::json;

use super::claims::Narrator;
use super::folder::{ADDED_LINE, PROFILES};
use super::sides::{Sides, typed};
use crate::cli::commands::run_once;
use crate::cli::error::with_causes;
use crate::cli::{Failure, context};
use crate::project::{Environment, Project};
use crate::report::{Command, ErrorCode, Outcome, ProfileReport, RunReport};

/// What a record says on both sides, in Postgres first.
type Both = (String, String);

/// Runs a command over profiles as the command line does, with nothing of the user's environment.
pub(crate) async fn run(sides: &Sides, command: Command, profiles: &[&str]) -> Result<RunReport, Failure> {
    let folder = &sides.folder;
    let loaded = Project::load(&folder.project_file(), folder.path(), Environment::default());
    if let Some(failure) = context::refuse(&loaded.findings) {
        return Err(failure);
    }
    let project = loaded
        .value
        .ok_or_else(|| Failure::usage("the demo's project cannot be understood"))?;
    let runs = profiles
        .iter()
        .map(|name| run_once::whole_profile(&project, name, command));
    let reports = futures_util::future::try_join_all(runs).await?;
    Ok(RunReport::of(command, reports))
}

/// What one profile's run did, in one line.
pub(crate) fn summary(report: &ProfileReport) -> String {
    let sum = |count: fn(&crate::report::EntityReport) -> u64| report.entities.iter().map(count).sum::<u64>();
    let errors = |entity: &crate::report::EntityReport| entity.errors.len() as u64;
    let counts = [
        (sum(|entity| entity.pages_created), "pages created"),
        (sum(|entity| entity.pages_updated), "pages updated"),
        (sum(|entity| entity.pages_trashed), "pages trashed"),
        (sum(|entity| entity.rows_inserted), "rows inserted"),
        (sum(|entity| entity.rows_updated), "rows updated"),
        (sum(|entity| entity.rows_deleted), "rows deleted"),
        (sum(|entity| entity.conflicts_resolved), "conflicts settled"),
        (sum(|entity| entity.conflicts_opened), "conflicts left to you"),
        (sum(errors), "errors"),
    ];
    let mut parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| match (count, what.split_once("s ")) {
            (1, Some((one, rest))) => format!("1 {one} {rest}"),
            (1, None) => format!("1 {}", what.trim_end_matches('s')),
            _ => format!("{count} {what}"),
        })
        .collect();
    parts.extend(report.failure.iter().map(|failure| failure.message.clone()));
    for refusal in report.entities.iter().flat_map(|entity| &entity.refusals) {
        parts.push(format!("refused: {}", refusal.message));
    }
    if parts.is_empty() {
        "nothing to do".to_owned()
    } else {
        parts.join(", ")
    }
}

/// The sides with the narrator, for as long as the story goes.
struct Story<'a, 'b> {
    sides: &'a mut Sides,
    told: &'a mut Narrator<'b>,
}

/// Tells the story.
///
/// # Errors
/// Where a command cannot be run at all or a side cannot be looked at; a claim that does not hold is no error.
pub(crate) async fn tell(sides: &mut Sides, told: &mut Narrator<'_>) -> Result<(), Failure> {
    let mut story = Story { sides, told };
    story.first_push().await?;
    story.edits_on_both_sides().await?;
    story.the_same_field_twice().await?;
    story.a_line_of_yaml().await?;
    story.a_mass_delete().await?;
    story.nothing_left_to_do().await
}

fn looked(error: &sqlx::Error) -> Failure {
    Failure::world(format!("the demo's database: {}", with_causes(error)))
}

impl Story<'_, '_> {
    async fn command(&mut self, command: Command, profiles: &[&str]) -> Result<RunReport, Failure> {
        let arguments = if profiles.len() == PROFILES.len() {
            "--all-profiles".to_owned()
        } else {
            let each: Vec<String> = profiles.iter().map(|name| format!("-p {name}")).collect();
            each.join(" ")
        };
        self.told.command(&format!("{command} {arguments}"));
        let report = run(self.sides, command, profiles).await?;
        for profile in &report.profiles {
            self.told.answer(&format!(
                "{:<12} {} ({} requests, {:.1} s)",
                profile.profile,
                summary(profile),
                profile.notion.requests,
                profile.duration_seconds
            ));
            for entity in &profile.entities {
                for error in &entity.errors {
                    self.told.answer(&format!(
                        "{:<12} {} {}: {} [{}]",
                        "",
                        entity.entity,
                        error.key.as_deref().unwrap_or("?"),
                        error.message,
                        error.code.code()
                    ));
                }
            }
        }
        if report.outcome != Outcome::Ok {
            self.told.answer(&format!("exit {}", report.outcome.exit_code()));
        }
        Ok(report)
    }

    async fn sql(&mut self, sql: &'static str) -> Result<(), Failure> {
        self.told.act("Postgres", sql);
        self.sides
            .execute(sql)
            .await
            .map(drop)
            .map_err(|error| looked(&error))
    }

    async fn text(&self, sql: &'static str) -> Result<String, Failure> {
        self.sides.text(sql).await.map_err(|error| looked(&error))
    }

    /// Claims that every record of a profile says the same on both sides.
    async fn everything_agrees(&mut self, profile: &str) -> Result<(), Failure> {
        let (rows, pages) = self
            .sides
            .everything(profile)
            .await
            .map_err(|error| looked(&error))?;
        let count: usize = rows.values().map(Vec::len).sum();
        let claim = format!(
            "{profile}: its {count} rows of {} tables are its {count} pages, value by value",
            rows.len()
        );
        self.told.claim(claim, rows, pages);
        Ok(())
    }

    async fn first_push(&mut self) -> Result<(), Failure> {
        self.told
            .chapter("Two universities and the shared project get their databases in Notion");
        let report = self.command(Command::Setup, &PROFILES).await?;
        self.sides.learn(&report);
        for profile in PROFILES {
            self.everything_agrees(profile).await?;
        }
        Ok(())
    }

    async fn edits_on_both_sides(&mut self) -> Result<(), Failure> {
        self.told
            .chapter("Both sides change, and one sync carries it all");
        self.sql("update teams set status = 'on_hold' where id = 'team_101'")
            .await?;
        self.sql(
            "insert into teams (id, name, university_id) values ('team_105', 'Payload', 'CalPolyPomona')",
        )
        .await?;
        self.told
            .act("Notion", "“Flight Software” is renamed to “Flight Software 🛰️”");
        let renamed = self.sides.type_in(
            "calpoly",
            "teams",
            "team_102",
            "Name",
            &typed("title", "Flight Software 🛰️"),
        );
        self.told.act("Notion", "a page “Ground Rover” is added to Teams");
        let added = self.sides.add_page(
            "calpoly",
            "teams",
            &json!({"Name": typed("title", "Ground Rover"), "status": {"select": {"name": "active"}}}),
        );
        self.command(Command::Sync, &["calpoly"]).await?;
        let on_hold = self.sides.property("calpoly", "teams", "team_101", "status");
        self.told
            .claim("the page of team_101 says on_hold", "on_hold", &*on_hold);
        let payload = self.sides.property("calpoly", "teams", "team_105", "Name");
        self.told
            .claim("the new row has a page, “Payload”", "Payload", &*payload);
        let name = self.text("select name from teams where id = 'team_102'").await?;
        self.told.claim(
            "the row of team_102 has the new name",
            (true, "Flight Software 🛰️"),
            (renamed, &*name),
        );
        let rover = self
            .text("select university_id || ' ' || status from teams where name = 'Ground Rover' and id ~ '^team_.{36}$'")
            .await?;
        self.told.claim(
            "the new page has a row, with an id and its university",
            (true, "CalPolyPomona active"),
            (added, &*rover),
        );
        Ok(())
    }

    async fn both(
        &self,
        sql: &'static str,
        entity: &str,
        key: &str,
        property: &str,
    ) -> Result<Both, Failure> {
        let row = self.text(sql).await?;
        Ok((row, self.sides.property("calpoly", entity, key, property)))
    }

    async fn the_same_field_twice(&mut self) -> Result<(), Failure> {
        const TEAM: &str = "select status from teams where id = 'team_103'";
        const STUDENT: &str = "select status from students where id = 'student_002'";
        let pair = |row: &str, page: &str| (row.to_owned(), page.to_owned());
        let select = |name: &str| json!({"select": {"name": name}});

        self.told.chapter("Two people change the same field");
        self.told
            .line("   teams say `conflict: last_write_wins`, the students' status says `conflict: manual`");
        self.sql("update teams set status = 'completed' where id = 'team_103'")
            .await?;
        self.sql("update students set status = 'outgoing' where id = 'student_002'")
            .await?;
        self.told
            .act("Notion", "team_103 becomes active, student_002 alumni");
        let typed = [
            self.sides
                .type_in("calpoly", "teams", "team_103", "status", &select("active")),
            self.sides
                .type_in("calpoly", "students", "student_002", "status", &select("alumni")),
        ];
        let report = self.command(Command::Sync, &["calpoly"]).await?;
        self.told.claim(
            "Notion took both edits, and the sync ends with 1: a person is wanted",
            ([true, true], 1),
            (typed, report.outcome.exit_code()),
        );
        let team = self.both(TEAM, "teams", "team_103", "status").await?;
        self.told.claim(
            "team_103 is completed on both sides: within a minute it is a tie, which `tie_break` gives to Postgres",
            pair("completed", "completed"),
            team,
        );
        let kept = self
            .text(
                "select string_agg(body ->> 'old', ' ') from frames_sync.audit \
                 where profile = 'calpoly' and act = 'overruled' and key like '%team_103%'",
            )
            .await?;
        self.told.claim(
            "the audit log keeps the value that lost, active",
            true,
            kept.contains("active"),
        );
        let student = self.both(STUDENT, "students", "student_002", "status").await?;
        self.told.claim(
            "student_002 is as each side left it",
            pair("outgoing", "alumni"),
            student,
        );
        let open = self
            .text("select count(*)::text from frames_sync.conflict where open and profile = 'calpoly'")
            .await?;
        let marked = self
            .sides
            .property("calpoly", "students", "student_002", "sync_status");
        self.told.claim(
            "one conflict is open, and its page is marked with it",
            pair("1", "conflict"),
            (open, marked),
        );
        self.told
            .act("Notion", "student_002 becomes outgoing too: the two agree");
        self.sides.type_in(
            "calpoly",
            "students",
            "student_002",
            "status",
            &select("outgoing"),
        );
        let report = self.command(Command::Sync, &["calpoly"]).await?;
        let open = self
            .text("select count(*)::text from frames_sync.conflict where open and profile = 'calpoly'")
            .await?;
        let marked = self
            .sides
            .property("calpoly", "students", "student_002", "sync_status");
        self.told.claim(
            "the conflict is closed, and the mark is gone",
            (0, pair("0", "synced")),
            (report.outcome.exit_code(), (open, marked)),
        );
        Ok(())
    }

    async fn a_line_of_yaml(&mut self) -> Result<(), Failure> {
        self.told.chapter("A line of YAML adds a field");
        self.sides
            .folder
            .add_line()
            .map_err(|error| Failure::world(format!("the demo's folder: {error}")))?;
        self.told.line("   mappings/students.yaml, under `properties`:");
        self.told
            .line(&format!("   \u{1b}[32m+ {}\u{1b}[0m", ADDED_LINE.trim_end()));
        let profiles = ["calpoly", "texas-state"];
        self.command(Command::Sync, &profiles).await?;
        let rows = self
            .text(
                "select string_agg(id || '=' || coalesce(terms_remaining::text, ''), ' ' order by id) from students \
                 where university_id in ('CalPolyPomona', 'TexasState')",
            )
            .await?;
        let mut pages: Vec<String> = profiles
            .iter()
            .flat_map(|profile| self.sides.pages(profile, "students", &["terms_remaining"]))
            .map(|(key, values)| format!("{key}={}", values.concat()))
            .collect();
        pages.sort();
        self.told.claim(
            format!(
                "all {} pages of both universities show terms_remaining",
                pages.len()
            ),
            rows,
            pages.join(" "),
        );
        Ok(())
    }

    async fn a_mass_delete(&mut self) -> Result<(), Failure> {
        self.told.chapter("An accident is not carried over");
        self.sides
            .execute("create table students_backup as select * from students")
            .await
            .map_err(|error| looked(&error))?;
        self.sql("delete from students where status = 'established'")
            .await?;
        let before = self.sides.pages("calpoly", "students", &["Name"]).len();
        let report = self.command(Command::Sync, &["calpoly"]).await?;
        let refusals: Vec<_> = report
            .profiles
            .iter()
            .flat_map(|profile| &profile.entities)
            .flat_map(|entity| &entity.refusals)
            .collect();
        let codes: Vec<ErrorCode> = refusals.iter().map(|refusal| refusal.code).collect();
        self.told.claim(
            "the sync refuses, by the guard `delete_cap`",
            (Outcome::Refused, vec![ErrorCode::DeleteCap]),
            (report.outcome, codes),
        );
        for refusal in &refusals {
            self.told.line(&format!(
                "     if it was meant: frames-sync approve {}",
                refusal.approve
            ));
        }
        let left = self.sides.pages("calpoly", "students", &["Name"]).len();
        self.told.claim(
            format!("all {before} pages are still there, and none is in the trash"),
            (before, 0),
            (left, self.sides.trashed("calpoly", "students")),
        );
        self.sql("insert into students select * from students_backup on conflict (id) do nothing")
            .await?;
        self.sides
            .execute("drop table students_backup")
            .await
            .map_err(|error| looked(&error))?;
        let report = self.command(Command::Sync, &["calpoly"]).await?;
        self.told.claim(
            "with the rows back everything is in step again",
            Outcome::Ok,
            report.outcome,
        );
        Ok(())
    }

    async fn nothing_left_to_do(&mut self) -> Result<(), Failure> {
        const AUDIT: &str = "select count(*)::text from frames_sync.audit";
        self.told.chapter("A sync of what is in step writes nothing");
        let audit = self.text(AUDIT).await?;
        self.sides.simulator.clear_exchanges();
        self.command(Command::Sync, &PROFILES).await?;
        self.told.claim(
            "Notion was only read from",
            Vec::<String>::new(),
            self.sides.writes(),
        );
        let after = self.text(AUDIT).await?;
        self.told
            .claim(format!("the audit log still has {audit} lines"), audit, after);
        for profile in PROFILES {
            self.everything_agrees(profile).await?;
        }
        Ok(())
    }
}
