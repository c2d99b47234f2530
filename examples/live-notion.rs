//! Asks the real Notion what the code assumes about it, and prints both as JSON.
//!
//! ```text
//! NOTION_API_KEY=ntn_… NOTION_PARENT_PAGE=https://app.notion.com/p/… cargo run --no-default-features --example live-notion > live.json
//! ```
//!
//! Takes from six to twenty minutes, most of which is waiting: minutes have to pass where stamps are compared, and
//! writes that were given up are looked for. Everything happens in two scratch databases under the page, which end in the
//! trash. Last, the connection's budget of a minute is spent at once, to learn how large it is; where other things use
//! the same workspace, `FRAMES_SYNC_BURST=0` leaves that out. `FRAMES_SYNC_NOTION_BASE_URL` points it at a
//! simulator instead. Never part of CI.

use frames_sync::notion::experiments::{Patience, run};
use frames_sync::notion::{Client, Settings, parse_page_id};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::new(std::env::var("NOTION_API_KEY")?.into());
    if let Ok(base_url) = std::env::var("FRAMES_SYNC_NOTION_BASE_URL") {
        settings.base_url = base_url;
    }
    let mut patience = Patience::default();
    if let Ok(burst) = std::env::var("FRAMES_SYNC_BURST") {
        patience.burst = burst.parse()?;
    }
    let parent = parse_page_id(&std::env::var("NOTION_PARENT_PAGE")?)?;
    let client = Client::new(&settings)?;
    let findings = run(&client, &parent, patience).await?;
    let output = serde_json::to_string_pretty(&findings)?;
    std::io::Write::write_all(&mut std::io::stdout(), output.as_bytes())?;
    Ok(())
}
