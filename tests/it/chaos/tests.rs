//! The short form: everything that can befall it once, and some kills.

use std::path::PathBuf;

use super::Chaos;

fn short(seed: u64, arguments: &[&str]) {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_frames-sync"));
    let seed = seed.to_string();
    let mut all = vec!["--kills", "8", "--seed", &seed];
    all.extend(arguments);
    let chaos = Chaos::read(binary, all.iter().map(|argument| (*argument).to_owned())).expect("arguments");
    let mut told = Vec::new();
    let held = chaos.run(&mut told).expect("both sides");
    let told = String::from_utf8_lossy(&told);
    assert!(held, "{told}");
    println!("{told}");
}

#[test]
fn nothing_is_lost_though_instances_and_postgres_are_killed_again_and_again() {
    short(1, &["--no-pooler"]);
}

#[test]
#[ignore = "needs PgBouncer: `apt-get install -y pgbouncer`, then `cargo test -- --include-ignored`"]
fn nothing_is_lost_behind_pgbouncer_either() {
    short(2, &[]);
}
