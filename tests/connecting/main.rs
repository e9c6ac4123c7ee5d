//! A connection begins, is lost, is made again and ends.

mod cancel;
mod closing;
mod last_words;
mod life_cycle;
mod peers;
mod reconnect;
mod restart;
mod runtime_gone;
