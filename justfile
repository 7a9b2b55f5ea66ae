# `just` lists these. Every recipe is a plain command; nothing needs just itself.

default:
    @just --list

# Everything CI runs, in its order
ci:
    .ci/run

# Format, lint and test
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo test

# Write the formatting
fmt:
    cargo fmt

# The acceptance checks against a release build: `just acceptance --only http --seed 7`
acceptance *arguments:
    cargo build --release
    tests/acceptance/run {{ arguments }}

# The benchmarks, or one of them: `just bench decode`
bench *name:
    cargo bench {{ if name == "" { "" } else { "--bench " + name } }}

# Whole processes in turn, Alluvium and its peers: `just peers --rounds 9 --only flat`
peers *arguments:
    benches/peers/run {{ arguments }}

# HTTP events to Delta tables under ./lake
serve *arguments:
    cargo run --release -- serve {{ arguments }}

# Licences, advisories and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check
