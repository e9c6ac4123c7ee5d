//! Connecting: attempts until there is a connection.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::blocking::wait::wait;
use crate::client;
use crate::error::ConnectError;

/// # Connecting
impl<P: 'static> Client<P> {
    /// Connects: tries every `retry_delay` until there is a connection, without a deadline.
    ///
    /// When it returns, the listeners of `on_connect` have been called. The client reconnects by itself after a
    /// connection is lost.
    ///
    /// # Errors
    ///
    /// The errors of [`Client::connect`](crate::Client::connect), and [`ConnectError::Thread`]: the client's thread
    /// could not be started.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn connect(&self) -> Result<(), ConnectError> {
        self.connecting(|client| async move { client.connect().await })
    }

    /// Connects as [`connect`](Self::connect) does, but for at most this long.
    ///
    /// # Errors
    ///
    /// [`ConnectError::DeadlineExceeded`], with the error of the last attempt: the client is as before the call, and
    /// may be connected again, as `give_up_after` does not count here. And the other errors of
    /// [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```
    /// use socket_ipc::{ConnectError, blocking};
    /// use std::time::Duration;
    ///
    /// let client = blocking::Client::new("/nowhere/to/be/found.sock");
    /// match client.connect_within(Duration::from_millis(50)) {
    ///     Ok(()) => println!("connected"),
    ///     Err(error @ ConnectError::DeadlineExceeded { .. }) => {
    ///         let text = error.to_string();
    ///         assert!(text.starts_with("cannot connect to /nowhere/to/be/found.sock: no connection within 50ms"));
    ///     }
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    pub fn connect_within(&self, timeout: Duration) -> Result<(), ConnectError> {
        self.connecting(move |client| async move { client.connect_within(timeout).await })
    }

    /// Connects by a single attempt, which takes `connect_timeout` (5 s) at most.
    ///
    /// # Errors
    ///
    /// The errors of [`Client::connect_once`](crate::Client::connect_once): the client may be connected again. And
    /// [`ConnectError::Thread`].
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```
    /// let client = socket_ipc::blocking::Client::new("/nowhere/to/be/found.sock");
    /// let error = client.connect_once().unwrap_err();
    /// assert!(error.to_string().starts_with("cannot connect to /nowhere/to/be/found.sock: "));
    /// ```
    pub fn connect_once(&self) -> Result<(), ConnectError> {
        self.connecting(|client| async move { client.connect_once().await })
    }

    fn connecting<F>(&self, connect: impl FnOnce(Arc<client::Client<P>>) -> F) -> Result<(), ConnectError>
    where
        F: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.thread.own().must_not_wait();
        let path = || self.path.clone();
        let runtime = self
            .thread
            .runtime(self.client.closed())
            .map_err(|cause| ConnectError::Thread { path: path(), cause: cause.into() })?;
        // The client connects on its own thread from the first attempt on. The runtime can't end while this runs,
        // because only closing the client ends the runtime.
        match wait(runtime.spawn(connect(Arc::clone(&self.client)))) {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                // The user's code panicked: without the thread it would have panicked here.
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(ConnectError::Closed { path: path() }),
            },
        }
    }
}
