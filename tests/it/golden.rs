//! Files that hold what a test expects to the letter, and are rewritten on request.

use std::path::{Path, PathBuf};

/// The folder of the package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether expected files are to be rewritten: `FRAMES_SYNC_BLESS=1 cargo test`.
fn is_blessing() -> bool {
    std::env::var_os("FRAMES_SYNC_BLESS").is_some_and(|value| value == "1")
}

/// Holds a text against a file, and answers with what is wrong; blessing rewrites the file instead.
pub(crate) fn compare(path: &Path, actual: &str) -> Result<(), String> {
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    if is_blessing() {
        std::fs::write(path, actual).expect("the expected file can be written");
        return Ok(());
    }
    let shown = path.strip_prefix(root()).unwrap_or(path).display();
    let line = expected
        .lines()
        .zip(actual.lines())
        .position(|(expected, actual)| expected != actual)
        .unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    Err(format!(
        "{shown}:{} is not what is printed now\n  expected: {}\n  printed:  {}\n  \
         (`FRAMES_SYNC_BLESS=1 cargo test` rewrites it)",
        line + 1,
        at(&expected),
        at(actual),
    ))
}

/// Holds a text against a file of the package.
#[track_caller]
pub(crate) fn assert_fresh(path: &str, actual: &str) {
    if let Err(difference) = compare(&root().join(path), actual) {
        panic!("{difference}");
    }
}

/// The entries of a folder of the package with an ending (`""`: folders), by name.
pub(crate) fn entries(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
        .expect("the folder is part of the package")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| match ending {
            "" => path.is_dir(),
            ending => path.extension().is_some_and(|found| found == ending),
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} is empty");
    paths
}

/// A path's last part without its ending.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned()
}
