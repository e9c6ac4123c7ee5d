//! `#[derive(Topic)]`.

mod attr;
mod expand;

pub(crate) use expand::topic;
