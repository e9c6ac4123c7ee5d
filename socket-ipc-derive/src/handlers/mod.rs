//! `#[handlers]`.

mod attr;
mod block;
mod expand;
mod method;
#[cfg(test)]
mod tests;

pub(crate) use expand::handlers;
