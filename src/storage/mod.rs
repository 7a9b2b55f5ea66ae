//! Object stores by URL, durable on a local disk.
