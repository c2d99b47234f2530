//! `simulate-notion`: the Notion simulator alone, for other people's tests.

use clap::Args;
use serde_json::json;

use crate::cli::{Exit, Failure, Terminal};
use crate::simulator::{Options, RateLimits, Simulator};

/// Serve a simulated Notion on this machine, for tests.
///
/// The first line on standard output is JSON: `{"base_url","root_page_id","tokens":[…]}`. A client uses `base_url` in
/// place of `https://api.notion.com`. All tokens are connections of one workspace, and the root page is shared with
/// each of them. `{base_url}/` is a page to look at and edit the databases; `{base_url}/_simulator/…` plans faults,
/// moves the clock and lists the exchanges. It keeps 250,000 rows for each database, 1,000,000 blocks, 10,000 file
/// uploads of 256 MiB together, and the last 1,000 exchanges or 32 MiB of them. It runs until it is killed.
#[derive(Debug, Args)]
pub struct SimulateNotion {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// A token to accept, a connection of its own; may be repeated. By default one is made up.
    #[arg(long = "token", value_name = "TOKEN")]
    pub tokens: Vec<String>,
    /// Determines every id and colour: the same seed and requests give the same bytes.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// Requests that each connection may make in a window of 60 seconds; by default any number.
    #[arg(long, value_name = "REQUESTS")]
    pub requests_per_minute: Option<u32>,
}

impl SimulateNotion {
    /// Serves until the process is stopped.
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        let options = Options {
            port: self.port,
            tokens: self.tokens,
            seed: self.seed,
            rate: RateLimits {
                per_connection: self.requests_per_minute,
                per_workspace: None,
            },
            ..Options::default()
        };
        let simulator = Simulator::start(options)
            .map_err(|error| Failure::world(format!("cannot serve on port {}: {error}", self.port)))?;
        let (base_url, root_page_id, tokens) =
            (&simulator.base_url, simulator.root_page_id, &simulator.tokens);
        terminal.data(json!({"base_url": base_url, "root_page_id": root_page_id, "tokens": tokens}));
        simulator.wait();
        Ok(Exit::Done)
    }
}
