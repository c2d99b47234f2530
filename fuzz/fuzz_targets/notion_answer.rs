#![no_main]

#[path = "../../tests/it/fuzz/targets.rs"]
#[expect(dead_code, reason = "one of many targets is run here")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::notion_answer(bytes));
