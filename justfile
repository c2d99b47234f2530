# Every task of the project. `just` lists them.

_:
    @just --list

# What CI runs.
check:
    .ci/run

# The whole suite; nothing need be installed but Rust.
test *arguments:
    cargo test {{ arguments }}

# The suite without the embedded database: builds in half the time, needs a PostgreSQL installed (no server running).
test-native *arguments:
    cargo test --no-default-features {{ arguments }}

# Format, and every lint.
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# Rewrite the schemas, the generated pages and the expected outputs of the samples.
bless:
    FRAMES_SYNC_BLESS=1 cargo test --test it -- fresh:: validate::

# The library's documentation.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --open

# The speed of `validate`, of the codec and of an edit; the numbers are in docs/performance.md.
bench *arguments:
    cargo bench --no-default-features {{ arguments }}

# Random changes of every corpus, CASES of them for each target.
fuzz CASES="200000":
    FRAMES_SYNC_FUZZ_CASES={{ CASES }} cargo test --test it fuzz::

# Coverage-guided fuzzing of one target for so many seconds; needs nightly and cargo-fuzz. What it finds on the way stays in
# target/fuzz-corpus; the corpus that is checked in is only read.
fuzz-guided TARGET="mapping" SECONDS="240":
    mkdir -p target/fuzz-corpus/{{ TARGET }}
    cargo +nightly fuzz run {{ TARGET }} target/fuzz-corpus/{{ TARGET }} fuzz/corpus/{{ TARGET }} -- \
        -max_total_time={{ SECONDS }} -timeout=10 -rss_limit_mb=2048 -max_len=16384

# The program between a real Postgres, PgBouncer and the simulator, killed KILLS times; needs postgresql and pgbouncer.
chaos KILLS="200" SEED="1":
    cargo run --no-default-features --example chaos -- --kills {{ KILLS }} --seed {{ SEED }}

# The same schedules on simulated and on real PostgreSQL; needs one installed (no server running).
conformance SEEDS="0..300":
    cargo run --release --no-default-features --example campaign -- --real {{ SEEDS }}

# Bugs planted in a copy of the source, each to be found by its check; needs a PostgreSQL installed.
planted *NAMES:
    tests/planted/run {{ NAMES }}

# The simulation over seeds FROM..TO, each run twice, on every core: fails on a violation, and where a cell was never met.
campaign FROM="0" TO="1000000" *arguments="":
    cargo run --locked --no-default-features --profile campaign --example campaign -- --seeds {{ FROM }}..{{ TO }} {{ arguments }}

# Licences, sources, duplicates and advisories of the dependencies; needs cargo-deny.
deny:
    cargo deny check

# The program as it is packaged for production, without the embedded database.
release:
    cargo build --release --no-default-features --locked
