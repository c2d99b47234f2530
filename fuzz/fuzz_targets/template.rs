//! Any text as a template: it parses or says why, and renders within its bounds or says why.

#![no_main]

use frames_sync::template::{Ambient, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Template::parse(text) {
        Ok(template) => {
            template.references();
            template.row_columns();
            let context = serde_json::json!({ "name": "Ada", "row": {}, "tags": ["a"], "value": 1 });
            let _ = template.render(&context, &Ambient::FIXED);
        }
        Err(error) => {
            if let Some(range) = error.range {
                assert!(text.get(range).is_some());
            }
        }
    }
});
