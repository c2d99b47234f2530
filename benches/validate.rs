//! How long `validate` takes: `cargo bench --no-default-features --bench validate`.
//!
//! The numbers are in `docs/performance.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use divan::{Bencher, black_box};
use frames_sync::project::{Environment, Project, Secrets};
use tempfile::TempDir;

fn main() {
    divan::main();
}

/// A project of mappings with 30 properties each: text, options, numbers, dates, relations, templates, conversions.
fn project(mappings: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "version: 1\nprofiles: { demo: { vars: { university_id: CalPolyPomona } } }\n";
    std::fs::write(folder.path().join("frames-sync.yaml"), file).expect("written");
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    for number in 0..mappings {
        let name = format!("entity_{number:04}");
        let path = folder.path().join(format!("mappings/{name}.yaml"));
        std::fs::write(path, mapping(&name)).expect("written");
    }
    folder
}

fn mapping(name: &str) -> String {
    let mut text = format!(
        "version: 1\nentity: {name}\ntable: public.{name}\nkey: id\n\
         scope: {{ university_id: \"{{{{ vars.university_id }}}}\" }}\nnotion: {{ title: {name} }}\nproperties:\n  \
         Name: {{ type: title, column: name }}\n  \
         Label: {{ type: rich_text, template: \"{{{{ name }}}} ({{{{ code }}}})\" }}\n"
    );
    for number in 0..7 {
        write!(
            text,
            "  Text {number}: {{ type: rich_text, column: text_{number}, conversion: trim }}\n  \
             Number {number}: {{ type: number, column: number_{number}, format: percent, conversion: {{ scale: 100 }} }}\n  \
             Since {number}: {{ type: date, column: since_{number}, direction: to_notion, conversion: iso8601 }}\n  \
             State {number}:\n    type: select\n    column: state_{number}\n    \
             options: [{{ name: active, color: green }}, completed, {{ name: on_hold, color: yellow }}]\n"
        )
        .expect("a string");
    }
    text
}

/// Reads and checks a project as `validate --offline` does; the findings' number, which is none.
fn check(folder: &Path) -> usize {
    let file = folder.join("frames-sync.yaml");
    let checked = Project::load(&file, folder, Environment::default());
    let project = checked.value.expect("a project");
    let profile = project
        .profile("demo", Secrets::Optional)
        .value
        .expect("a profile");
    let of_files: usize = project.files.iter().map(|file| file.findings.len()).sum();
    checked.findings.len() + of_files + project.mappings(&profile).findings.len()
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn a_thousand_mappings_of_thirty_properties(bencher: Bencher<'_, '_>) {
    let folder = project(1000);
    assert_eq!(check(folder.path()), 0);
    bencher.bench_local(|| check(black_box(folder.path())));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn process_start_to_end_for_the_seven_files(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| run(Path::new(env!("CARGO_MANIFEST_DIR"))));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn process_start_to_end_for_a_thousand_files(bencher: Bencher<'_, '_>) {
    let folder = project(1000);
    bencher.bench_local(|| run(folder.path()));
}

fn run(folder: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_frames-sync"))
        .args(["validate", "--offline", "--quiet"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()
        .expect("the built binary runs");
    assert!(status.success());
}
