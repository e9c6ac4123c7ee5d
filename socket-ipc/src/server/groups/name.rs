//! The names of groups.

use std::sync::Arc;

use crate::client_id::ClientId;
use crate::error::GroupError;
use crate::limits::GROUP_NAME_LEN;

/// The name that a handle was made with. One that is over the limit is the name of no group.
#[derive(Clone, Debug)]
pub(super) struct GroupName {
    /// The name, cut at the limit: a client may have made it up, and it may be as long as a message.
    kept: Arc<str>,
    /// Its whole length.
    len: usize,
}

impl GroupName {
    pub(super) fn new(name: &str) -> Self {
        let fits = |at: &usize| name.is_char_boundary(*at);
        let len = (0..=GROUP_NAME_LEN.min(name.len())).rev().find(fits).unwrap_or(0);
        Self { kept: name[..len].into(), len: name.len() }
    }

    /// The name, cut at the limit.
    pub(super) fn as_str(&self) -> &str {
        &self.kept
    }

    /// The name, if it is within the limit.
    pub(super) fn valid(&self) -> Option<&Arc<str>> {
        (self.len == self.kept.len()).then_some(&self.kept)
    }

    /// The error of joining a group of this name, which is over the limit.
    pub(super) fn too_long(&self, client_id: ClientId) -> GroupError {
        let (group, size) = (self.kept.to_string(), self.len);
        GroupError::NameTooLong { group, client_id, size, limit: GROUP_NAME_LEN }
    }
}
