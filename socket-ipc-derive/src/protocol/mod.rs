//! `#[derive(Protocol)]`.

mod attr;
mod expand;

pub(crate) use expand::protocol;
