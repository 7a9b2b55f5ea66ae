//! The durable queue of accepted HTTP events.
