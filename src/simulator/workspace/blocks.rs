//! Blocks: the content of pages (fact sheet, 3.10).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, Cut, list_json};
use super::body::Body;
use super::read::user_reference;
use super::refusal::{Answered, Refusal};
use super::rich_text;
use super::state::{Block, Parent, Stamps};
use super::{Caller, Request, Version, Workspace};

/// A checked block that is not in the workspace yet.
pub(super) struct NewBlock {
    pub(super) kind: String,
    pub(super) content: Json,
    pub(super) children: Vec<NewBlock>,
}

/// Block types that hold rich text and a colour, which is most of them.
const TEXT_KINDS: [&str; 12] = [
    "paragraph",
    "heading_1",
    "heading_2",
    "heading_3",
    "heading_4",
    "bulleted_list_item",
    "numbered_list_item",
    "quote",
    "to_do",
    "toggle",
    "callout",
    "code",
];

/// Block types with nothing in them.
const PLAIN_KINDS: [&str; 3] = ["divider", "breadcrumb", "table_of_contents"];

/// Levels of children below the blocks of one request.
const MAX_DEPTH: usize = 2;

/// Blocks in one request (fact sheet, 5.2).
const MAX_BLOCKS: usize = 1000;

impl Workspace {
    /// Checks the blocks of a request: at most 100 in an array, two levels deep, 1000 in all.
    pub(super) fn check_blocks(&self, body: &Body<'_>) -> Answered<Vec<NewBlock>> {
        let mut count = 0;
        let blocks = self.check_level(body, 0, &mut count)?;
        if count > MAX_BLOCKS {
            return Err(body.refuse(&format!("≤ `{MAX_BLOCKS}` blocks in all")));
        }
        self.room_for_blocks(count)?;
        Ok(blocks)
    }

    /// Refuses more blocks than the workspace may hold, as a free plan does (fact sheet, 5.3).
    pub(super) fn room_for_blocks(&self, count: usize) -> Answered<()> {
        if self.blocks.len() + count <= self.limits.blocks {
            return Ok(());
        }
        let mut refusal = Refusal::restricted();
        refusal.message = "The workspace has reached its block limit.".to_owned();
        refusal.additional = json!({"block_limit": "block_creation"}).as_object().cloned();
        Err(refusal)
    }

    fn check_level(&self, body: &Body<'_>, depth: usize, count: &mut usize) -> Answered<Vec<NewBlock>> {
        if depth > MAX_DEPTH {
            return Err(body.refuse("not present"));
        }
        let mut blocks = Vec::new();
        for item in body.elements()? {
            *count += 1;
            blocks.push(self.check_block(&item, depth, count)?);
        }
        Ok(blocks)
    }

    fn check_block(&self, item: &Body<'_>, depth: usize, count: &mut usize) -> Answered<NewBlock> {
        let kinds = TEXT_KINDS
            .iter()
            .chain(&PLAIN_KINDS)
            .chain(&["equation", "bookmark", "embed"]);
        let kind = kinds.copied().find(|kind| item.value.get(*kind).is_some());
        let Some(kind) = kind else {
            let lines: Vec<String> = TEXT_KINDS
                .iter()
                .map(|kind| {
                    format!(
                        "{}.{kind} should be defined, instead was `undefined`.",
                        item.path()
                    )
                })
                .collect();
            return Err(Refusal::validation(format!(
                "body failed validation. Fix one:\n{}",
                lines.join("\n")
            )));
        };
        let inner = item.need(kind)?;
        let content = self.block_content(kind, &inner)?;
        let children = inner.given("children").or(item.given("children"));
        let children = match children {
            Some(children) => self.check_level(&children, depth + 1, count)?,
            None => Vec::new(),
        };
        Ok(NewBlock {
            kind: kind.to_owned(),
            content,
            children,
        })
    }

    fn block_content(&self, kind: &str, inner: &Body<'_>) -> Answered<Json> {
        let text = |key: &str| -> Answered<Json> {
            match inner.get(key) {
                Some(found) => Ok(rich_text::render(&rich_text::parse(&found, &|kind, id| {
                    self.name_of(kind, id)
                })?)),
                None => Ok(json!([])),
            }
        };
        if PLAIN_KINDS.contains(&kind) {
            let colored = kind == "table_of_contents";
            return Ok(if colored {
                json!({"color": color_of(inner)?})
            } else {
                json!({})
            });
        }
        match kind {
            "equation" => return Ok(json!({"expression": inner.need("expression")?.text(1000)?})),
            "bookmark" | "embed" => {
                let url = inner.need("url")?.filled_text(super::body::MAX_TEXT)?;
                return Ok(json!({"url": url, "caption": text("caption")?}));
            }
            _ => {}
        }
        inner.need("rich_text")?;
        let mut content = json!({"rich_text": text("rich_text")?});
        if kind == "code" {
            content["caption"] = text("caption")?;
            content["language"] = inner
                .get("language")
                .map_or(json!("plain text"), |language| language.value.clone());
            return Ok(content);
        }
        content["color"] = color_of(inner)?;
        match kind {
            "to_do" => {
                content["checked"] = json!(
                    inner
                        .given("checked")
                        .map(|found| found.bool())
                        .transpose()?
                        .unwrap_or_default()
                )
            }
            "callout" | "paragraph" => {
                content["icon"] = self.check_icon(inner.given("icon"))?.unwrap_or_default()
            }
            kind if kind.starts_with("heading") => {
                let toggles = inner
                    .given("is_toggleable")
                    .map(|found| found.bool())
                    .transpose()?;
                content["is_toggleable"] = json!(toggles.unwrap_or_default());
            }
            _ => {}
        }
        Ok(content)
    }

    /// Adds checked blocks below a page or block: at the end, or at this index. Answers their ids.
    pub(super) fn add_blocks(
        &mut self,
        parent: Parent,
        blocks: Vec<NewBlock>,
        at: Option<usize>,
        author: Uuid,
    ) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for new in blocks {
            let id = self.seed.uuid();
            let block = Block {
                id,
                parent,
                stamps: self.stamps(author),
                kind: new.kind,
                content: new.content,
                in_trash: false,
                children: Vec::new(),
            };
            self.blocks.insert(id, block);
            self.add_blocks(Parent::Block(id), new.children, None, author);
            ids.push(id);
        }
        if let Some(children) = self.children_mut(parent) {
            let at = at.unwrap_or(children.len()).min(children.len());
            children.splice(at..at, ids.iter().copied());
        }
        ids
    }

    fn children_mut(&mut self, parent: Parent) -> Option<&mut Vec<Uuid>> {
        match parent {
            Parent::Page(id) => self.pages.get_mut(&id).map(|page| &mut page.children),
            Parent::Block(id) => self.blocks.get_mut(&id).map(|block| &mut block.children),
            _ => None,
        }
    }

    fn block(&self, caller: Caller, id: Uuid) -> Answered<&Block> {
        self.seen(caller, "block", &self.blocks, id)
    }

    /// A page or block that content can lie under.
    fn container(&self, caller: Caller, id: Uuid) -> Answered<(Parent, Vec<Uuid>)> {
        if let Some(page) = self.pages.get(&id) {
            self.page(caller, id)
                .map_err(|_| self.missing(caller, "block", id))?;
            return Ok((Parent::Page(id), page.children.clone()));
        }
        Ok((Parent::Block(id), self.block(caller, id)?.children.clone()))
    }

    /// Anything as the block that it is; `body` is its type and what stands under that key.
    fn block_object(
        &self,
        caller: Caller,
        (id, parent): (Uuid, Parent),
        stamps: Stamps,
        children: &[Uuid],
        body: (&str, Json),
    ) -> Json {
        let has_children = children.iter().any(|id| self.is_shown(caller, *id));
        let mut object = json!({
            "object": "block", "id": id, "parent": self.parent_json(parent),
            "created_time": stamps.created.iso(), "last_edited_time": stamps.edited.iso(),
            "created_by": user_reference(stamps.creator), "last_edited_by": user_reference(stamps.editor),
            "has_children": has_children, "type": body.0,
        });
        self.trash_flags(caller, &mut object, self.is_trashed(id));
        object[body.0] = body.1;
        object
    }

    fn block_json(&self, caller: Caller, block: &Block) -> Json {
        let body = (block.kind.as_str(), block.content.clone());
        self.block_object(
            caller,
            (block.id, block.parent),
            block.stamps,
            &block.children,
            body,
        )
    }

    /// A page or database seen as the block that it is; `None` where it is neither.
    fn child_block_json(&self, caller: Caller, id: Uuid) -> Option<Json> {
        if let Some(page) = self.pages.get(&id) {
            let body = ("child_page", json!({ "title": page.title() }));
            return Some(self.block_object(caller, (id, page.parent), page.stamps, &page.children, body));
        }
        let database = self.databases.get(&id)?;
        let body = (
            "child_database",
            json!({ "title": rich_text::text_of(&database.title) }),
        );
        Some(self.block_object(caller, (id, database.parent), database.stamps, &[], body))
    }

    /// Whether a child is among those listed: in sight, and not in the trash.
    fn is_shown(&self, caller: Caller, id: Uuid) -> bool {
        let is_live = match (self.blocks.get(&id), self.pages.get(&id), self.databases.get(&id)) {
            (Some(block), ..) => !block.in_trash,
            (_, Some(page), _) => !page.in_trash,
            (.., Some(database)) => !database.in_trash,
            _ => false,
        };
        is_live && self.is_visible(caller.connection, id)
    }

    /// Erases a page's text; pages and databases on it are things of their own, and stay.
    pub(super) fn erase_blocks(&mut self, page: Uuid, author: Uuid) {
        let children = self.pages.get(&page).map(|page| page.children.clone());
        let (mut erased, kept): (Vec<Uuid>, Vec<Uuid>) = children
            .unwrap_or_default()
            .into_iter()
            .partition(|child| self.blocks.contains_key(child));
        while let Some(id) = erased.pop() {
            erased.extend(
                self.blocks
                    .remove(&id)
                    .map(|block| block.children)
                    .unwrap_or_default(),
            );
        }
        self.edit_page(page, author, |page| page.children = kept);
    }

    /// Hangs a page or database below what it now lies in.
    pub(super) fn hang(&mut self, id: Uuid, from: Option<Parent>, to: Parent) {
        if let Some(children) = from.and_then(|from| self.children_mut(from)) {
            children.retain(|child| *child != id);
        }
        if let Some(children) = self.children_mut(to) {
            children.push(id);
        }
    }

    pub(super) fn get_block(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        if !self.is_visible(caller.connection, id) {
            return Err(self.missing(caller, "block", id));
        }
        match self.child_block_json(caller, id) {
            Some(object) => Ok(object),
            None => Ok(self.block_json(caller, self.block(caller, id)?)),
        }
    }

    pub(super) fn update_block(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        let block = self.block(caller, id)?;
        let kind = block.kind.clone();
        let trash = self.check_trash(caller, body)?;
        if self.is_trashed(id) && trash != Some(false) {
            return Err(Refusal::archived());
        }
        let content = match body.get(&kind) {
            Some(inner) => {
                let mut merged = block.content.as_object().cloned().unwrap_or_default();
                let sent: Map<String, Json> = inner.object()?.clone();
                merged.extend(sent);
                let merged = Json::Object(merged);
                Some(self.block_content(&kind, &Body::root(&merged))?)
            }
            None => None,
        };
        let now = self.now.floored();
        if let Some(block) = self.blocks.get_mut(&id) {
            block.content = content.unwrap_or(block.content.take());
            block.in_trash = trash.unwrap_or(block.in_trash);
            block.stamps.edited = now;
            block.stamps.editor = caller.bot;
        }
        self.get_block(caller, id)
    }

    /// Trashes a block; pages and databases are blocks, so those too.
    pub(super) fn delete_block(&mut self, caller: Caller, id: Uuid) -> Answered<Json> {
        self.get_block(caller, id)?;
        if self.is_trashed(id) {
            return Err(Refusal::archived());
        }
        if self.pages.contains_key(&id) {
            self.set_trash(id, caller.bot, true);
        } else if let Some(database) = self.databases.get_mut(&id) {
            database.in_trash = true;
            self.emit("database.deleted", ("database", id), caller.bot, json!({}));
        } else if let Some(block) = self.blocks.get_mut(&id) {
            block.in_trash = true;
        }
        self.get_block(caller, id)
    }

    pub(super) fn list_children(&self, caller: Caller, id: Uuid, request: &Request) -> Answered<Json> {
        let (_, children) = self.container(caller, id)?;
        let blocks: Vec<Json> = children
            .into_iter()
            .filter(|child| self.is_shown(caller, *child))
            .filter_map(|child| {
                let block = self
                    .blocks
                    .get(&child)
                    .map(|block| self.block_json(caller, block));
                block.or_else(|| self.child_block_json(caller, child))
            })
            .collect();
        Ok(list_json(
            "block",
            Batch::of_query(request)?.cut(&blocks, &format!("children {id}"))?,
        ))
    }

    pub(super) fn append_children(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        let position_key = if caller.version == Version::September2025 {
            "after"
        } else {
            "position"
        };
        body.only(&["children", position_key])?;
        let (parent, children) = self.container(caller, id)?;
        if self.is_trashed(id) {
            return Err(Refusal::archived());
        }
        let blocks = self.check_blocks(&body.need("children")?)?;
        let after = |wanted: &Body<'_>| -> Answered<usize> {
            let block = wanted.uuid()?;
            let index = children.iter().position(|child| *child == block);
            index
                .map(|index| index + 1)
                .ok_or_else(|| wanted.refuse("a block of this parent"))
        };
        let at = match body.given(position_key) {
            None => None,
            Some(position) if position_key == "after" => Some(after(&position)?),
            Some(position) => match position.need("type")?.word(&["start", "end", "after_block"])? {
                "start" => Some(0),
                "end" => None,
                _ => Some(after(&position.need("after_block")?.need("id")?)?),
            },
        };
        let ids = self.add_blocks(parent, blocks, at, caller.bot);
        let updated: Json = ids.iter().map(|id| json!({"id": id, "type": "block"})).collect();
        if let Parent::Page(page) = parent {
            // Block edits were seen not to move the page's stamps (fact sheet, section 7, row 4).
            self.emit(
                "page.content_updated",
                ("page", page),
                caller.bot,
                json!({ "updated_blocks": updated }),
            );
        }
        let by_id: BTreeMap<Uuid, &Block> = ids
            .iter()
            .filter_map(|id| Some((*id, self.blocks.get(id)?)))
            .collect();
        let results = ids
            .iter()
            .filter_map(|id| by_id.get(id))
            .map(|block| self.block_json(caller, block))
            .collect();
        Ok(list_json(
            "block",
            Cut {
                results,
                next_cursor: None,
            },
        ))
    }

    /// A row or page as a list of its text blocks, for markdown.
    pub(super) fn blocks_of(&self, page: Uuid) -> Vec<&Block> {
        let children = self
            .pages
            .get(&page)
            .map(|page| page.children.as_slice())
            .unwrap_or_default();
        children
            .iter()
            .filter_map(|id| self.blocks.get(id))
            .filter(|block| !block.in_trash)
            .collect()
    }
}

fn color_of(inner: &Body<'_>) -> Answered<Json> {
    match inner.given("color") {
        Some(color) => Ok(json!(color.word(&rich_text::TEXT_COLORS)?)),
        None => Ok(json!("default")),
    }
}
