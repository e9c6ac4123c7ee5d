//! What is generated for programs in other languages: the clients of the chapter, and the Python of any description.

mod chapter;
#[path = "../foreign/chat.rs"]
mod chat;
mod older;
mod python;
#[path = "../foreign/shapes.rs"]
mod shapes;
