//! A PostgreSQL for the demo and the tests: a private cluster of native binaries, or the embedded one.
