//! What the tests share.

#[path = "../foreign/support.rs"]
pub mod foreign;
#[path = "../foreign/ours.rs"]
pub mod ours;
