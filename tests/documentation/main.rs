//! What the documents say: numbers, names, links, tests and words.

mod book;
mod dependencies;
mod guarantees;
mod limits;
mod speed;
mod troubleshooting;
mod vocabulary;
