//! `#[handlers]`.

mod attr;
mod block;
mod expand;
mod method;

pub(crate) use expand::handlers;
