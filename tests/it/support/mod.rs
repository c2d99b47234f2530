//! The harness: databases, simulators and projects for tests.
