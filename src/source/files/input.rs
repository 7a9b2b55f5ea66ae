//! One input as bytes: a file of this machine, or an object.

use super::{
    FileEntry, FilesError,
    inputs::{Found, is_object_url},
    object::{Ahead, InputStores, Object, State},
    text::BytesRead,
};
use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

pub(crate) use super::object::ReadAhead;

/// What readers of inputs share. Files need little of it.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) stores: Arc<dyn InputStores>,
    /// Cancelled: nobody waits for a store any longer.
    pub(crate) halt: CancellationToken,
    pub(crate) ahead: ReadAhead,
    /// Bytes of inputs read so far.
    pub(crate) bytes: BytesRead,
}

/// What is read.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// By its absolute path.
    File(Arc<str>),
    Object(Arc<Object>),
}

/// Its bytes from the start.
pub(crate) enum Source {
    File(File),
    Object(Box<Ahead>),
}

impl Input {
    pub(crate) fn of(file: &FileEntry, stores: &dyn InputStores) -> Result<Self, FilesError> {
        match is_object_url(&file.url) {
            true => Ok(Self::Object(Arc::new(Object::of(file, stores)?))),
            false => Ok(Self::File(file.name()?.into())),
        }
    }

    pub(crate) fn found(found: &Found, stores: &dyn InputStores) -> Result<Self, FilesError> {
        if !is_object_url(&found.path) {
            return Ok(Self::File(found.path.as_str().into()));
        }
        let state = State {
            size: found.size,
            modified_us: found.modified_us,
            etag: found.etag.clone(),
        };
        Object::new(&found.path, state, stores).map(|object| Self::Object(Arc::new(object)))
    }

    /// Its path or URL.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::File(path) => path,
            Self::Object(object) => &object.url,
        }
    }

    pub(crate) fn open(&self, reading: &Reading) -> Result<Source, FilesError> {
        match self {
            Self::File(path) => File::open(&**path)
                .map(Source::File)
                .map_err(|e| FilesError::open(path, e)),
            Self::Object(object) => {
                Ahead::open(object.clone(), reading).map(|ahead| Source::Object(Box::new(ahead)))
            }
        }
    }
}

impl Source {
    /// The first bytes, at most `n`, left unread.
    pub(crate) fn peek(&mut self, n: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.by_ref().take(n).read_to_end(&mut head)?;
        match self {
            Self::File(file) => file.rewind()?,
            Self::Object(ahead) => ahead.seek(0),
        }
        Ok(head)
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(out),
            Self::Object(ahead) => ahead.read(out),
        }
    }
}
