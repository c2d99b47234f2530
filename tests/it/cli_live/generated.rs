//! What `generate` writes passes `validate` with no edit.

use super::World;

#[tokio::test]
async fn each_generated_mapping_passes_validate_alone_and_all_of_them_together() {
    let world = World::new(&[]).await;
    let ran = world.run(&["generate", "--all"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let folder = world.project.path().join("mappings");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 7, "{files:?}");
    let (findings, code) = world.validate();
    let errors: Vec<_> = findings.iter().collect();
    assert_eq!(code, Some(0), "{errors:?}");
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let table = name.trim_end_matches(".yaml");
        let alone = World::new(&[]).await;
        let ran = alone.run(&["generate", &format!("public.{table}")]);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.stdout, ran.stderr);
        let ran = alone.run(&["validate"]);
        assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.stdout, ran.stderr);
    }
}
