//! Credentials of a workspace.
