//! `#[derive(Topic)]`.

mod attr;
mod expand;
mod request;

pub(crate) use expand::topic;
