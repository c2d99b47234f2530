//! Comments on pages and blocks (fact sheet, 3.10).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, list_json};
use super::body::Body;
use super::endpoint::query_id;
use super::read::user_reference;
use super::refusal::{Answered, Refusal};
use super::rich_text::{self, RichText};
use super::state::{Comment, Parent};
use super::{Caller, Request, Workspace};

impl Workspace {
    pub(super) fn create_comment(&mut self, caller: Caller, body: &Body<'_>) -> Answered<Json> {
        body.only(&[
            "parent",
            "discussion_id",
            "rich_text",
            "markdown",
            "attachments",
            "display_name",
        ])?;
        let (parent, discussion) = match body.given("discussion_id") {
            Some(wanted) => {
                let id = wanted.uuid()?;
                let first = self.comments.values().find(|comment| comment.discussion == id);
                let first = first.filter(|comment| self.is_visible(caller.connection, comment.id));
                let first = first.ok_or_else(|| self.missing(caller, "discussion", id))?;
                (first.parent, Some(id))
            }
            None => (self.comment_parent(caller, &body.need("parent")?)?, None),
        };
        let text = self.comment_text(body)?;
        let bot = &self.connections[caller.connection].name;
        let display_name = match body.given("display_name") {
            Some(display) => match display.need("type")?.word(&["integration", "user", "custom"])? {
                "custom" => {
                    let name = display.need("custom")?.need("name")?.filled_text(100)?;
                    json!({"type": "custom", "resolved_name": name})
                }
                kind => json!({"type": kind, "resolved_name": bot}),
            },
            None => json!({"type": "integration", "resolved_name": bot}),
        };
        let (id, fresh) = (self.seed.uuid(), self.seed.uuid());
        self.last_sequence += 1;
        let comment = Comment {
            id,
            sequence: self.last_sequence,
            parent,
            discussion: discussion.unwrap_or(fresh),
            stamps: self.stamps(caller.bot),
            text,
            display_name,
        };
        self.comments.insert(id, comment);
        self.emit(
            "comment.created",
            ("comment", id),
            caller.bot,
            json!({"page_id": self.page_above(id)}),
        );
        self.get_comment(caller, id)
    }

    fn comment_parent(&self, caller: Caller, body: &Body<'_>) -> Answered<Parent> {
        if let Some(page) = body.given("page_id") {
            let id = page.uuid()?;
            self.page(caller, id)?;
            return Ok(Parent::Page(id));
        }
        let id = body.need("block_id")?.uuid()?;
        if !self.blocks.contains_key(&id) || !self.is_visible(caller.connection, id) {
            return Err(self.missing(caller, "block", id));
        }
        Ok(Parent::Block(id))
    }

    fn comment_text(&self, body: &Body<'_>) -> Answered<RichText> {
        match body.given("markdown") {
            Some(markdown) => Ok(rich_text::plain(markdown.text(usize::MAX)?)),
            None => rich_text::parse(&body.need("rich_text")?, &|kind, id| self.name_of(kind, id)),
        }
    }

    fn page_above(&self, id: Uuid) -> Option<Uuid> {
        let mut next = self.above(id);
        while let Some(id) = next {
            if self.pages.contains_key(&id) {
                return Some(id);
            }
            next = self.above(id);
        }
        None
    }

    fn comment_json(comment: &Comment, parent: Json) -> Json {
        json!({
            "object": "comment", "id": comment.id, "parent": parent, "discussion_id": comment.discussion,
            "created_time": comment.stamps.created.iso(), "last_edited_time": comment.stamps.edited.iso(),
            "created_by": user_reference(comment.stamps.creator), "rich_text": rich_text::render(&comment.text),
            "display_name": comment.display_name,
        })
    }

    fn comment(&self, caller: Caller, id: Uuid) -> Answered<&Comment> {
        self.seen(caller, "comment", &self.comments, id)
    }

    pub(super) fn get_comment(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        let comment = self.comment(caller, id)?;
        Ok(Self::comment_json(comment, self.parent_json(comment.parent)))
    }

    pub(super) fn list_comments(&self, caller: Caller, request: &Request) -> Answered<Json> {
        let wanted = query_id(request, "block_id")?.ok_or_else(|| {
            Refusal::validation(
                "query failed validation: query.block_id should be defined, instead was `undefined`.",
            )
        })?;
        // This list refuses 0, unlike others (fact sheet, 2.2).
        if request.query_value("page_size") == Some("0") {
            return Err(Refusal::validation(
                "query failed validation: query.page_size should be ≥ `1`, instead was `0`.",
            ));
        }
        if !self.is_visible(caller.connection, wanted) {
            return Err(self.missing(caller, "block", wanted));
        }
        let mut comments: Vec<&Comment> = self
            .comments
            .values()
            .filter(|comment| matches!(comment.parent, Parent::Page(id) | Parent::Block(id) if id == wanted))
            .collect();
        // Oldest first (reference/list-comments).
        comments.sort_unstable_by_key(|comment| comment.sequence);
        let comments: Vec<Json> = comments
            .into_iter()
            .map(|comment| Self::comment_json(comment, self.parent_json(comment.parent)))
            .collect();
        Ok(list_json(
            "comment",
            Batch::of_query(request)?.cut(&comments, &format!("comments {wanted}"))?,
        ))
    }

    pub(super) fn update_comment(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        body.only(&["rich_text", "markdown"])?;
        self.own_comment(caller, id)?;
        let (text, now) = (self.comment_text(body)?, self.now.floored());
        if let Some(comment) = self.comments.get_mut(&id) {
            comment.text = text;
            comment.stamps.edited = now;
        }
        self.emit(
            "comment.updated",
            ("comment", id),
            caller.bot,
            json!({"page_id": self.page_above(id)}),
        );
        self.get_comment(caller, id)
    }

    pub(super) fn delete_comment(&mut self, caller: Caller, id: Uuid) -> Answered<Json> {
        self.own_comment(caller, id)?;
        let gone = self.get_comment(caller, id)?;
        self.emit(
            "comment.deleted",
            ("comment", id),
            caller.bot,
            json!({"page_id": self.page_above(id)}),
        );
        self.comments.remove(&id);
        Ok(gone)
    }

    /// A connection changes its own comments only.
    fn own_comment(&self, caller: Caller, id: Uuid) -> Answered<()> {
        let comment = self.comment(caller, id)?;
        if comment.stamps.creator == caller.bot {
            Ok(())
        } else {
            Err(Refusal::restricted())
        }
    }
}
