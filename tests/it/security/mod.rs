//! The threats of section 11 of the semantics page, one by one: what is not tested elsewhere is tested here, and what is
//! has its place in [`CONTROLS`], which `docs/security.md` repeats for people.

mod content;
mod pages;
mod postgres;
mod records;
mod secrets;
mod service;
mod wire;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::golden::root;

/// Values that would mean something else if they were ever read as SQL, a template, a path, markup or a formula.
const PAYLOADS: [&str; 14] = [
    "'; drop table things; --",
    "\"; drop table public.things; --",
    "') or 1=1 --",
    "$1 $2 $$ $a$",
    "\\' \\\" \\\\",
    "E'\\x27' U&'\\0027'",
    "{{ env.DATABASE_URL }}{% raw %}",
    "../../etc/passwd%00",
    "<script>alert(1)</script>",
    "=HYPERLINK(\"https://evil.example\")",
    "%s %n {} {0}",
    "NULL",
    "{\"$ref\": \"#\"}",
    "a,b;c|d\te",
];

/// SplitMix64, as `fuzz` has it, for names and trees.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Each threat with the tests that hold its control, wherever they stand.
const CONTROLS: [(&str, &[&str]); 28] = [
    (
        "S1",
        &[
            "s01_identifiers_cannot_inject",
            "names_that_postgres_would_change_are_refused",
            "a_quoted_name_is_one_token",
        ],
    ),
    (
        "S2",
        &[
            "s02_filters_are_a_tree_that_binds_its_literals",
            "no_literal_reaches_the_text",
        ],
    ),
    (
        "S3",
        &[
            "s03_sql_is_made_of_literals_of_the_program",
            "s03_values_are_bound_on_both_sides",
        ],
    ),
    (
        "S4",
        &[
            "s04_bombs_are_refused_at_once",
            "s04_bombs_are_refused_within_sixty_four_megabytes",
            "a_billion_laughs_stop_within_the_budget",
            "a_million_levels_are_refused_at_the_first_few",
            "no_change_of_a_sample_makes_the_loader_panic",
        ],
    ),
    (
        "S5",
        &[
            "a_literal_secret_is_refused_and_never_shown",
            "a_literal_secret_in_its_place_says_where_it_belongs",
            "s05_a_file_of_secrets_that_others_may_read_is_told",
        ],
    ),
    (
        "S6",
        &[
            "s06_no_secret_leaves_its_place",
            "what_a_variable_holds_is_never_shown",
        ],
    ),
    (
        "S7",
        &[
            "s07_no_value_of_a_row_is_told_where_it_is_not_asked_for",
            "metrics_count_and_hold_no_value_and_no_key",
            "values_in_notions_sentences_are_not_shown",
            "a_refusal_names_the_constraint_and_no_value",
        ],
    ),
    (
        "S8",
        &[
            "s08_a_server_that_proves_nothing_hears_nothing",
            "a_server_without_tls_is_refused_when_tls_is_asked_for",
            "every_remote_server_is_verified_whatever_the_url_says",
        ],
    ),
    (
        "S9",
        &[
            "s09_the_token_goes_to_notion_or_this_machine",
            "s09_a_redirect_takes_the_token_nowhere",
            "a_redirect_is_refused_and_the_token_goes_nowhere",
        ],
    ),
    (
        "S10",
        &[
            "a_forged_delivery_is_refused_and_counted",
            "a_delivery_of_two_megabytes_is_refused_whoever_signed_it",
            "events_of_elsewhere_wake_nobody",
            "no_delivery_is_taken_without_its_signature",
        ],
    ),
    ("S11", &["a_handshake_is_taken_once_and_only_when_it_is_expected"]),
    (
        "S12",
        &[
            "of_ten_thousand_replays_one_is_taken",
            "of_a_flood_over_one_page_a_few_are_taken_at_once_and_the_rest_becomes_one",
        ],
    ),
    (
        "S13",
        &[
            "nothing_of_one_profile_is_ever_sent_with_the_others_token",
            "a_page_that_names_a_foreign_or_unknown_key_gets_one_and_the_same_error",
            "relations_follow_both_ways_and_never_out_of_the_profile",
            "a_row_of_another_tenant_is_known_to_exist_and_tells_nothing",
            "one_profile_never_sees_anothers_state",
        ],
    ),
    (
        "S14",
        &[
            "tokens_swapped_between_profiles_are_refused_before_a_page_is_read",
            "a_token_of_another_workspace_is_refused_before_a_page_is_read",
            "a_read_that_answers_another_object_is_refused",
            "what_was_made_in_another_parent_is_unknown",
        ],
    ),
    (
        "S15",
        &[
            "a_role_with_the_printed_grants_can_sync_and_write_nothing_else",
            "the_grants_that_doctor_prints_are_enough_and_no_more_are_asked_for",
            "s15_strict_doctor_refuses_a_role_that_may_do_more",
        ],
    ),
    ("S16", &["s16_rows_that_a_policy_hides_are_not_deleted"]),
    (
        "S17",
        &[
            "s17_schemas_that_are_searched_hijack_nothing",
            "types_of_extensions_keep_the_operators_of_their_schema",
            "a_role_without_rights_to_the_state_is_noted_and_never_failed",
        ],
    ),
    ("S18", &["s18_a_made_up_origin_hides_no_edit"]),
    (
        "S19",
        &[
            "without_the_token_no_route_tells_or_does_anything",
            "s19_every_route_is_in_the_matrix",
            "nothing_but_loopback_is_served_without_a_token",
            "a_named_host_is_answered_and_needs_the_token",
        ],
    ),
    (
        "S20",
        &[
            "forms_are_taken_from_their_own_session_and_site_only",
            "loopback_without_a_token_answers_its_machine_and_no_other_site",
        ],
    ),
    (
        "S21",
        &[
            "s21_no_markup_of_a_row_or_a_page_runs_in_a_browser",
            "no_text_of_a_row_or_a_page_becomes_markup",
            "every_answer_forbids_scripts_frames_and_caches",
            "the_page_escapes_what_people_typed_and_acts_through_the_control_endpoint",
        ],
    ),
    (
        "S22",
        &[
            "s22_templates_are_bounded_and_reach_nothing",
            "files_and_other_templates_are_out_of_reach",
            "time_and_size_are_bounded",
            "no_change_of_a_template_makes_it_panic",
        ],
    ),
    (
        "S23",
        &[
            "s23_a_terminal_is_told_nothing_that_it_obeys",
            "s23_text_arrives_whole_or_not_at_all",
            "an_answer_without_end_is_cut_off",
            "a_small_answer_that_unpacks_to_a_huge_one_is_cut_off",
            "no_answer_of_notion_makes_the_client_panic",
            "no_value_of_either_side_breaks_the_laws_of_the_codec",
        ],
    ),
    // Nothing is exported as CSV.
    ("S24", &[]),
    (
        "S25",
        &[
            "s25_a_filter_that_lets_nobody_in_deletes_nothing",
            "a_changed_filter_writes_nothing_before_it_is_approved",
        ],
    ),
    (
        "S26",
        &[
            "s26_the_runtime_role_only_appends_to_the_audit_log",
            "s26_erasing_leaves_the_proof_and_no_value",
            "the_audit_log_cannot_be_rewritten",
        ],
    ),
    (
        "S27",
        &[
            "s27_one_tenant_with_many_edits_keeps_no_other_waiting",
            "a_profile_whose_notion_is_slow_keeps_no_other_waiting",
        ],
    ),
    ("S28", &["s28_what_it_is_built_of_is_fixed_and_checked"]),
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_threat_has_a_test_that_there_is() {
    let mut paths = Vec::new();
    for folder in ["src", "tests/it"] {
        sources(&root().join(folder), &mut paths);
    }
    let text: String = paths
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a source"))
        .collect();
    let document = std::fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md");
    let mut named = BTreeSet::new();
    for (number, (threat, tests)) in (1..).zip(CONTROLS) {
        assert_eq!(threat, format!("S{number}"));
        let line = document
            .lines()
            .find(|line| line.starts_with(&format!("| {threat} |")))
            .unwrap_or_else(|| panic!("docs/security.md has no line for {threat}"));
        assert!(
            !tests.is_empty() || line.contains("does not apply"),
            "{threat} has no test"
        );
        for test in tests {
            let is_there = text.contains(&format!("fn {test}(")) || text.contains(&format!("{test}: \""));
            assert!(is_there, "{threat}: there is no test `{test}`");
            assert!(
                line.contains(&format!("`{test}`")),
                "docs/security.md: {threat} does not name `{test}`"
            );
            named.insert(*test);
        }
    }
    // And none of this suite is left out of the table.
    for (at, _) in text.match_indices("fn s") {
        let name = text[at + 3..].split('(').next().unwrap_or_default();
        let is_of_the_suite = name.len() > 4
            && name.as_bytes()[1..3].iter().all(u8::is_ascii_digit)
            && name.as_bytes()[3] == b'_';
        assert!(
            !is_of_the_suite || named.contains(name),
            "`{name}` is in no line of the table"
        );
    }
}
