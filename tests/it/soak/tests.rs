//! The short form: two universities for a morning, in seconds.

#[test]
fn a_morning_of_edits_and_faults_ends_in_agreement() {
    // Paths in full: a benchmark compiles this file without its test.
    let outcome = super::soak(super::Setting {
        universities: 2,
        hours: 6,
        seed: 1,
        canary: false,
    });
    assert!(outcome.wrong.is_empty(), "{:#?}", outcome.wrong);
    // What is not met is not shown.
    for (what, least) in [
        ("rows edited", 20),
        ("pages edited", 20),
        ("fields edited on both sides", 5),
        ("pages made", 1),
    ] {
        let done = outcome.done.get(what).copied().unwrap_or_default();
        assert!(done >= least, "{what}: {done} of {least}: {:?}", outcome.done);
    }
    for what in [
        "cycles that failed",
        "requests without a good answer",
        "conflicts",
    ] {
        let met = outcome.counts.get(what).copied().unwrap_or_default();
        assert!(met > 0, "{what} were not met: {:?}", outcome.counts);
    }
    assert!(outcome.followed > 100 && outcome.compared > 100, "{outcome:?}");
    // Two hours of entries, and not six: what is older is forgotten. Notes that were looked at are gone at once.
    let (second, last) = (&outcome.hours[1], &outcome.hours[5]);
    assert_eq!((second.hour, last.hour), (2, 6));
    assert!(last.resident.is_some() || cfg!(not(target_os = "linux")));
    assert!(last.audit < second.audit * 3, "{:#?}", outcome.hours);
    assert!(
        outcome.hours.iter().all(|hour| hour.notes < 100),
        "{:#?}",
        outcome.hours
    );
}

#[test]
fn what_differs_what_is_lost_and_what_leaks_is_told() {
    let outcome = super::soak(super::Setting {
        universities: 1,
        hours: 1,
        seed: 2,
        canary: true,
    });
    for told in [
        "teams u1-teams-0: note is `canary` in Postgres",
        "projects u1-projects-0: note is `canary` in Postgres",
        "canary that was never written",
        "canary leak",
        "projects: a page `` belongs to no row",
    ] {
        assert!(
            outcome.wrong.iter().any(|line| line.contains(told)),
            "{told}: {:#?}",
            outcome.wrong
        );
    }
}
