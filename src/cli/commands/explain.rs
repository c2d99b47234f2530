//! `explain`: one record, field by field.

use clap::Args;

use super::run_once::key_of;
use crate::cli::context::{self, Selection};
use crate::cli::error::with_causes;
use crate::cli::session::Session;
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::project::Project;
use crate::report::{ErrorCode, ExplainReport};

/// Say of each field what both sides held and hold, who changed what when, and what a sync would do, and why.
///
/// The decision is the one that a sync would make now. Nothing is written on either side.
#[derive(Debug, Args)]
pub struct Explain {
    /// The entity.
    #[arg(value_name = "ENTITY")]
    pub entity: String,
    /// The record's key. Columns of a composite key are joined by commas.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Only this property.
    #[arg(value_name = "PROPERTY")]
    pub property: Option<String>,
}

impl Explain {
    /// Explains the record to each selected profile that has it.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        context::known_entity(&project, &self.entity)?;
        let names = context::select(&project, global, Selection::Default)?;
        let reports = context::block_on(async {
            let mut reports = Vec::new();
            for name in &names {
                reports.extend(self.report(&project, name).await?);
            }
            Ok::<_, Failure>(reports)
        })??;
        match (terminal.format(), reports.as_slice()) {
            (_, []) => {
                return Err(Failure::needs_user(format!(
                    "neither side of {} has a record `{}` of `{}`",
                    names.join(", "),
                    self.key,
                    self.entity
                ))
                .code(ErrorCode::NotFound)
                .hint("`frames-sync status` says how many records each entity has"));
            }
            (Format::Json, several) => terminal.json_of_each(several),
            (_, reports) => {
                for report in reports {
                    terminal.text(view::explain(report));
                }
            }
        }
        Ok(Exit::Done)
    }

    async fn report(&self, project: &Project, name: &str) -> Result<Option<ExplainReport>, Failure> {
        let session = Session::look(project, name).await?;
        // A profile that leaves the entity out has no such record.
        let mapping = session
            .mappings
            .iter()
            .find(|mapping| mapping.entity == self.entity);
        let Some(mapping) = mapping else {
            return Ok(None);
        };
        let key = key_of(&self.key, mapping)?;
        let known = session.known().await?;
        let schemas = session.schemas(&known, &[], false).await?;
        let report = session
            .engine(&known, &schemas)?
            .explain(&self.entity, &key)
            .await
            .map_err(|error| Failure::world(with_causes(&error)).code(ErrorCode::NotionFailed));
        session.close().await;
        let Some(mut report) = report? else {
            return Ok(None);
        };
        if let Some(property) = &self.property {
            if !report.fields.iter().any(|field| field.property == *property) {
                let names = || report.fields.iter().map(|field| field.property.as_str());
                let hint = crate::diagnostic::did_you_mean(property, names())
                    .unwrap_or_else(|| format!("the properties are {}", crate::diagnostic::list(names())));
                let message = format!("`{}` has no property `{property}`", self.entity);
                return Err(Failure::usage(message).hint(hint));
            }
            report.fields.retain(|field| field.property == *property);
        }
        Ok(Some(report))
    }
}
