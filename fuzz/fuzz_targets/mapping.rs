//! Any bytes through the offline layers: never a panic, and every place lies inside its file.

#![no_main]

use frames_sync::diagnostic::{Color, json, sarif, text};
use frames_sync::mapping::{self, Scene};
use frames_sync::yaml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = yaml::read_bytes("fuzz.yaml", bytes.to_vec());
    let mut findings = read.findings;
    if let Some(document) = read.value {
        let parsed = mapping::parse(document);
        findings.extend(parsed.findings);
        if let Some(parsed) = &parsed.value {
            let checked = mapping::validate(parsed, &Scene::default());
            findings.extend(checked.findings);
            if let Some(mapping) = &checked.value {
                findings.extend(mapping::validate_together(&[(&parsed.document, mapping)], &[]));
            }
        }
    }
    for finding in &findings {
        for label in std::iter::once(&finding.primary).chain(&finding.secondary) {
            assert!(label.file.text.get(label.span.clone()).is_some());
        }
        text(finding, Color::Plain);
    }
    json(&findings);
    sarif(&findings);
});
