//! Requests and answers as they may be shown.
