//! Page content as markdown: a lossy window on the blocks (fact sheet, 3.14).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::blocks::NewBlock;
use super::body::Body;
use super::refusal::{Answered, Refusal};
use super::state::Parent;
use super::{Caller, Workspace, rich_text};

/// How a line of markdown begins, and the block it makes.
const PREFIXES: [(&str, &str); 7] = [
    ("### ", "heading_3"),
    ("## ", "heading_2"),
    ("# ", "heading_1"),
    ("- ", "bulleted_list_item"),
    ("1. ", "numbered_list_item"),
    ("> ", "quote"),
    ("", "paragraph"),
];

/// The blocks that markdown makes: one for each line that is not empty.
pub(super) fn blocks_of(markdown: &str) -> Vec<NewBlock> {
    let lines = markdown.lines().filter(|line| !line.trim().is_empty());
    lines
        .filter_map(|line| {
            let (prefix, kind) = PREFIXES.iter().find(|(prefix, _)| line.starts_with(prefix))?;
            let mut content = json!({"rich_text": rich_text::render(&rich_text::plain(&line[prefix.len()..])), "color": "default"});
            if kind.starts_with("heading") {
                content["is_toggleable"] = json!(false);
            } else if *kind == "paragraph" {
                content["icon"] = Json::Null;
            }
            Some(NewBlock { kind: (*kind).to_owned(), content, children: Vec::new() })
        })
        .collect()
}

impl Workspace {
    pub(super) fn get_markdown(&self, caller: Caller, id: Uuid) -> Answered<Json> {
        self.page(caller, id)?;
        let (markdown, unknown) = self.markdown_of(id);
        Ok(json!({
            "object": "page_markdown", "id": id, "markdown": markdown, "truncated": false,
            "unknown_block_ids": unknown,
        }))
    }

    fn markdown_of(&self, id: Uuid) -> (String, Vec<Uuid>) {
        let mut lines = Vec::new();
        let mut unknown = Vec::new();
        for block in self.blocks_of(id) {
            let Some((prefix, _)) = PREFIXES.iter().find(|(_, kind)| *kind == block.kind) else {
                unknown.push(block.id);
                continue;
            };
            let runs = block.content["rich_text"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let text: String = runs.iter().filter_map(|run| run["plain_text"].as_str()).collect();
            lines.push(format!("{prefix}{text}"));
        }
        (lines.join("\n"), unknown)
    }

    pub(super) fn update_markdown(&mut self, caller: Caller, id: Uuid, body: &Body<'_>) -> Answered<Json> {
        self.page(caller, id)?;
        if self.is_trashed(id) {
            return Err(Refusal::archived());
        }
        let kinds = [
            "insert_content",
            "replace_content_range",
            "update_content",
            "replace_content",
        ];
        let kind = body.need("type")?.word(&kinds)?;
        let inner = body.need(kind)?;
        let (mut markdown, _) = self.markdown_of(id);
        match kind {
            "insert_content" => {
                let content = inner.need("content")?.text(usize::MAX)?;
                match inner.given("after") {
                    Some(after) => {
                        let anchor = after.text(usize::MAX)?;
                        let at = markdown
                            .find(anchor)
                            .ok_or_else(|| after.refuse("text of the page"))?
                            + anchor.len();
                        markdown.insert_str(at, &format!("\n{content}"));
                    }
                    None => markdown = format!("{markdown}\n{content}"),
                }
            }
            "update_content" => {
                for update in inner.need("content_updates")?.elements()? {
                    let old = update.need("old_str")?;
                    let (from, to) = (old.text(usize::MAX)?, update.need("new_str")?.text(usize::MAX)?);
                    if from.is_empty() || !markdown.contains(from) {
                        return Err(old.refuse("text of the page"));
                    }
                    let all = update
                        .given("replace_all_matches")
                        .is_some_and(|all| *all.value == Json::Bool(true));
                    markdown = if all {
                        markdown.replace(from, to)
                    } else {
                        markdown.replacen(from, to, 1)
                    };
                }
            }
            "replace_content" => markdown = inner.need("new_str")?.text(usize::MAX)?.to_owned(),
            _ => return Err(inner.refuse("not present: the simulator does not know content ranges")),
        }
        let blocks = blocks_of(&markdown);
        self.room_for_blocks(blocks.len())?;
        self.erase_blocks(id, caller.bot);
        self.add_blocks(Parent::Page(id), blocks, None, caller.bot);
        self.emit(
            "page.content_updated",
            ("page", id),
            caller.bot,
            json!({"updated_blocks": []}),
        );
        self.get_markdown(caller, id)
    }
}
