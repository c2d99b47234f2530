//! Users: people, and the bots that connections are (fact sheet, 3.9).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, Cut, list_json};
use super::refusal::Answered;
use super::{Caller, Request, Workspace};

const MAX_UPLOAD_BYTES: u64 = 5_368_709_120;

impl Workspace {
    pub(super) fn me(&self, caller: Caller) -> Json {
        let mut me = json!({
            "object": "user", "id": caller.bot, "name": self.connections[caller.connection].name, "avatar_url": null,
            "type": "bot",
        });
        me["bot"] = self.bot_json();
        me
    }

    fn bot_json(&self) -> Json {
        json!({
            "owner": {"type": "workspace", "workspace": true}, "workspace_id": self.id, "workspace_name": self.name,
            "workspace_limits": {"max_file_upload_size_in_bytes": MAX_UPLOAD_BYTES},
        })
    }

    pub(super) fn get_user(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        if !self.users.contains_key(&id) {
            return Err(self.missing(caller, "user", id));
        }
        Ok(self.user_json(caller, id))
    }

    pub(super) fn list_users(&self, caller: Caller, request: &Request) -> Answered<Json> {
        let listed: Vec<Uuid> = self
            .users
            .values()
            .filter(|user| !user.is_guest)
            .map(|user| user.id)
            .collect();
        let cut = Batch::of_query(request)?.cut(&listed, "users")?;
        let results = cut
            .results
            .into_iter()
            .map(|id| self.user_json(caller, id))
            .collect();
        Ok(list_json(
            "user",
            Cut {
                results,
                next_cursor: cut.next_cursor,
            },
        ))
    }
}
