//! When a call is sent again, and after which pause.
