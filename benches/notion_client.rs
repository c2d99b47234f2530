//! How fast the client reads, with no limit but its own: `cargo bench --no-default-features --bench notion_client`.
//!
//! Against the simulator over loopback, answering at once and after 200 ms. At 200 ms and 32 requests on their way at
//! once, 160 requests a second are the most there can be; Notion allows 3 to 10. Measured (two shared cores, medians): 9,704
//! a second at once, 157 at 200 ms.

use frames_sync::notion::{Client, Settings};
use frames_sync::simulator::{Effect, Fault, Options, Recording, Simulator, Trigger};
use frames_sync::value::PageId;
use futures_util::future::try_join_all;

fn main() {
    divan::main();
}

/// Reads a page that often, all at once.
#[divan::bench(args = [0, 200], sample_count = 10, sample_size = 1)]
fn read_320_pages(bencher: divan::Bencher<'_, '_>, latency_milliseconds: u64) {
    const READS: usize = 320;
    let options = Options {
        recording: Recording::Nothing,
        ..Options::default()
    };
    let simulator = Simulator::start(options).expect("the simulator answers on loopback");
    let page = simulator.workspace(|workspace| workspace.add_text_page(workspace.root_page_id(), "Notes"));
    if latency_milliseconds > 0 {
        let effect = Effect::Slow {
            milliseconds: latency_milliseconds,
        };
        simulator.fault(Fault {
            when: Trigger::default(),
            effect,
            times: None,
        });
    }
    let mut settings = Settings::new(simulator.tokens[0].clone().into());
    settings.base_url.clone_from(&simulator.base_url);
    settings.requests_per_minute = u32::MAX;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the simulator answers on loopback");
    let client =
        runtime.block_on(async { Client::new(&settings).expect("the simulator answers on loopback") });
    let page = PageId(page.to_string());
    bencher
        .counter(divan::counter::ItemsCount::new(READS))
        .bench_local(|| {
            runtime
                .block_on(try_join_all((0..READS).map(|_| client.retrieve_page(&page))))
                .expect("the simulator answers on loopback")
        });
}
