//! Containers whose credentials a web service hands out, as Adobe's data landing zone does.
//!
//! `GET` of the endpoint answers with the container, the account, a shared access signature and the date on which it ends.
//! The same with `action=refresh` makes the service replace the signature, **which revokes the old one for every user of
//! the container**. So, in this order ([`source`]):
//!
//! 1. A plain GET, always: before the end of the present signature and after a refusal by the store. Whoever else uses the
//!    container may have had it replaced already; if we answered their refresh with one of our own, they would answer ours.
//! 2. A refresh only with `refresh = true`, and only when the signature of a GET is inside the margin before its end; that
//!    the store refuses it is no reason. One at a time, with a distance between them that grows.
//! 3. A refresh is never sent again for want of an answer: a plain GET tells what became of it.
//! 4. Else we pause; a GET after the end of the signature brings the next one.
//!
//! The first 403s of a new signature are waited out ([`super::azure::settling`]). Of a signature only its end and `si` are
//! logged.

mod client;
mod expiry;
mod reply;
mod source;
mod token;

pub(super) use source::{FETCH, LandingZone};

use super::azure::{oauth, sas, settling};
