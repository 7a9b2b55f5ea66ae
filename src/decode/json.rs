//! Events' texts, with the reasons for which dead letters are refused.

use crate::{
    event::RejectReason,
    json::{self, Fault},
};
use std::{ops::Range, sync::Arc};

pub(super) use crate::json::{Json, NodeKind};

/// Parses texts one after the other into the same memory.
#[derive(Default)]
pub(super) struct Parser {
    parser: json::Parser,
}

impl Parser {
    /// Parses one text. The reason's detail is serde_json's message, with line and column.
    #[cfg(test)]
    pub(super) fn parse<'a>(&'a mut self, text: &'a [u8]) -> Result<Json<'a>, RejectReason> {
        self.parse_in(text, 0..text.len())
    }

    /// Parses the text at `slab[span]`.
    pub(super) fn parse_in<'a>(
        &'a mut self,
        slab: &'a [u8],
        span: Range<usize>,
    ) -> Result<Json<'a>, RejectReason> {
        self.parser
            .parse_in(slab, span.clone())
            .map_err(|fault| reason(slab.get(span).unwrap_or_default(), fault))
    }
}

#[cold]
fn reason(text: &[u8], fault: Fault) -> RejectReason {
    RejectReason {
        code: fault.code(),
        detail: Arc::from(fault.detail(text)),
    }
}
