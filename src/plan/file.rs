//! A saved plan: what was shown is what is applied, or nothing is.

use serde::{Deserialize, Serialize};

use super::Plan;

/// The version of the file's form.
pub const FORMAT: u32 = 1;

/// A plan as `plan -o` saves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The version of this form.
    pub format: u32,
    /// The profile it is for.
    pub profile: String,
    /// A digest of the mappings it was made with.
    pub mappings: String,
    /// [`Plan::hash`] of the plan.
    pub hash: String,
    /// The plan.
    pub plan: Plan,
}

/// Why a saved plan cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedPlanError {
    /// The file is no saved plan.
    #[error("not a saved plan: {0}")]
    Unreadable(String),
    /// The file's form is a later one.
    #[error("the plan was saved in format {found}; this program reads format {FORMAT}")]
    Format {
        /// The file's format.
        found: u32,
    },
    /// The file was edited.
    #[error("the plan's content does not fit its hash `{hash}`")]
    Edited {
        /// The hash in the file.
        hash: String,
    },
    /// It is for another profile.
    #[error("the plan is for profile `{profile}`")]
    Profile {
        /// The profile in the file.
        profile: String,
    },
    /// The mappings changed since.
    #[error("the mappings changed since the plan was saved")]
    Mappings,
    /// A side moved since.
    #[error("a side has moved since the plan was saved: it would now be `{now}`, not `{hash}`")]
    Moved {
        /// The hash in the file.
        hash: String,
        /// What a plan made now has.
        now: String,
    },
}

impl SavedPlan {
    /// A plan to save.
    pub fn of(plan: Plan, profile: &str, mappings: &str) -> Self {
        Self {
            format: FORMAT,
            profile: profile.to_owned(),
            mappings: mappings.to_owned(),
            hash: plan.hash(),
            plan,
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        // Strings, numbers and enums always have a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When it is no saved plan, of a later format, or was edited.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| SavedPlanError::Unreadable(error.to_string()))?;
        match json.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(SavedPlanError::Format {
                    found: u32::try_from(format).unwrap_or(u32::MAX),
                });
            }
            None => return Err(SavedPlanError::Unreadable("it has no `format`".to_owned())),
        }
        let saved: Self =
            serde_json::from_value(json).map_err(|error| SavedPlanError::Unreadable(error.to_string()))?;
        if saved.plan.hash() == saved.hash {
            Ok(saved)
        } else {
            Err(SavedPlanError::Edited { hash: saved.hash })
        }
    }

    /// Whether the saved plan is the one that would be made now.
    ///
    /// # Errors
    /// When profile, mappings or a side differ.
    pub fn check(&self, now: &Plan, profile: &str, mappings: &str) -> Result<(), SavedPlanError> {
        if self.profile != profile {
            return Err(SavedPlanError::Profile {
                profile: self.profile.clone(),
            });
        }
        if self.mappings != mappings {
            return Err(SavedPlanError::Mappings);
        }
        let now = now.hash();
        if self.hash == now {
            Ok(())
        } else {
            Err(SavedPlanError::Moved {
                hash: self.hash.clone(),
                now,
            })
        }
    }
}
