//! The book: one chapter for each subject. Each chapter names the next; [messaging] is the first.
//!
//! | chapter | subjects |
//! |---|---|
//! | [messaging] | which listener is called and in which order, callbacks or loops, pacing, when a message is lost, runtimes |
//! | [groups] | rooms and teams: the members of a group, broadcasts to them; values of which only the latest matters |
//! | [requests] | requests and replies, how they fail, how many may be in flight |
//! | [streams] | replies of many items: writing and reading them, how they end, windows, slow readers |
//! | [protocols] | a whole protocol checked by the compiler |
//! | [handlers] | the topics of a server or a client as methods of a struct |
//! | [events] | connections that come and go, reconnecting, why `connect` waits |
//! | [guarantees] | what is guaranteed, and which tests hold it |
//! | [limits] | every limit with its default and its option, the most memory a server takes |
//! | [wire] | the bytes of messages, requests, replies and streams |
//! | [languages] | shell, Python, Node, TypeScript |
//! | [blocking] | a client for scripts and threads |
//! | [command] | the command `socket-ipc` |
//! | [deployment] | shutdown, socket files, who may connect, systemd, containers, systems |
//! | [cluster] | servers on several machines, joined over NATS |
//! | [versioning] | old and new programs side by side |
//! | [observability] | statistics and traces |
//! | [testing] | tests of a program that uses the library |
//! | [performance] | how fast it is, what costs what, how to keep it fast |
//! | [comparison] | D-Bus, Varlink, gRPC, ZeroMQ, NATS, plain sockets |
//! | [troubleshooting] | each error: what it means, what to do |
//! | [attributes] | every attribute of the macros |
//! | [generated] | what the macros generate |
//! | [contributing] | the modules of the code, where a new feature goes |
//!
//! The examples of the book use a few crates beside the library, `serde` and `tokio`:
//!
//! ```sh
//! cargo add thiserror                    # errors with a text
//! cargo add futures-util async-stream    # replies that are streams
//! ```
//!
//! A figure in the book is that of the code: tests compare them.
//!
//! ```
//! use socket_ipc::limits;
//!
//! assert_eq!(limits::MESSAGE_LEN, 4 * 1024 * 1024);
//! ```

/// A chapter in a file of its own.
macro_rules! chapters {
    ($($chapter:ident)*) => {
        $(
            pub mod $chapter {
                #![doc = include_str!(concat!(stringify!($chapter), ".md"))]
            }
        )*
    };
}

chapters! {
    messaging groups requests streams protocols handlers events guarantees limits wire languages command deployment cluster
    versioning observability testing performance comparison troubleshooting attributes generated contributing
}

pub mod blocking {
    #![doc = include_str!("blocking.md")]
    //!
    #![cfg_attr(feature = "blocking", doc = "```no_run")]
    #![cfg_attr(not(feature = "blocking"), doc = "```ignore")]
    #![doc = include_str!("blocking_script.rs")]
    //! ```
    //!
    #![doc = include_str!("blocking_calls.md")]
}
