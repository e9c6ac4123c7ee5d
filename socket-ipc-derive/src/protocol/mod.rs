//! `#[derive(Protocol)]`.

mod attr;
mod direction;
mod expand;
mod spans;
mod stand_in;

pub(crate) use expand::protocol;
