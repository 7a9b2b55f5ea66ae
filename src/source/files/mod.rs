//! Files in a one-shot backfill.
