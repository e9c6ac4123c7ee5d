//! The options of a server.

use std::fmt;
use std::marker::PhantomData;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use super::Server;
use crate::endpoint::options::{ServerOptions, common_options};
use crate::limits::delay::Delay;
use crate::topic::direction::AnyTopic;
use crate::unix_socket::group::Group;
use crate::wire::Wire;

/// Sets the options of a server before it is made. [`limits`](crate::limits) has their defaults in one table.
///
/// ```
/// use socket_ipc::{Server, Wire};
/// use std::time::Duration;
///
/// let server = Server::builder("/tmp/myApp.sock")
///     .wire(Wire::NODE_0_4)
///     .mode(0o660)
///     .max_message_len(1024 * 1024)
///     .max_topic_len(64)
///     .outbox_len(16 * 1024 * 1024)
///     .outbox_total_len(64 * 1024 * 1024)
///     .inbox_total_len(64 * 1024 * 1024)
///     .write_stall(Duration::from_secs(5))
///     .incomplete_timeout(Duration::from_secs(5))
///     .drain(Duration::from_secs(1))
///     .max_clients(100)
///     .same_user_only()
///     .build();
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ServerBuilder<P = AnyTopic> {
    pub(super) options: ServerOptions,
    inherited: Option<UnixListener>,
    protocol: PhantomData<fn() -> P>,
}

common_options!(ServerBuilder);

impl<P> ServerBuilder<P> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { options: ServerOptions::new(path), inherited: None, protocol: PhantomData }
    }

    /// Sets the permissions of the socket file: [`limits::MODE`](crate::limits::MODE) (`0o600`) unless set.
    ///
    /// A process that may write to the file may connect (`unix(7)`); the directories above it count too. The umask
    /// takes nothing away.
    pub fn mode(mut self, mode: u32) -> Self {
        self.options.mode = mode;
        self
    }

    /// Sets the group of the socket file, by number or name: that of the process, or of a directory with the setgid
    /// bit, unless set.
    ///
    /// With a [`mode`](Self::mode) of `0o660` the users of the group may connect. The file has its group before a
    /// client can connect. A process without privileges can choose a group that it is in; another one, or a name that
    /// the system does not know, is [`ListenError::Group`](crate::ListenError::Group). Linux only.
    ///
    /// ```
    /// let server = socket_ipc::Server::builder("/run/myApp/myApp.sock").mode(0o660).group("myapp").build();
    /// ```
    pub fn group(mut self, group: impl Into<Group>) -> Self {
        self.options.group = Some(group.into());
        self
    }

    /// Sets how often the server looks whether its socket file is still there:
    /// [`limits::WATCH_INTERVAL`](crate::limits::WATCH_INTERVAL) (2 s) unless set, at least a millisecond. With `None`
    /// it never looks.
    ///
    /// A file that is gone (removed by hand or by what cleans `/tmp`, replaced, behind a volume that was mounted over
    /// it) is reported by `on_error` ([`Error::SocketFileGone`](crate::Error::SocketFileGone)) and a `tracing` warning.
    /// The server then binds the path again under the rules of `listen`: it displaces nothing, and tries again, after
    /// longer and longer pauses, while something is in the way. That is reported likewise. A server with a socket that
    /// was passed to it only reports. Clients that are connected notice nothing. A lock file that alone is gone is made
    /// and locked again.
    ///
    /// ```
    /// let server = socket_ipc::Server::builder("/tmp/myApp.sock").watch(None).build();
    /// ```
    pub fn watch(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.options.watch_interval = interval.into();
        self
    }

    /// Sets how many clients may be connected at once: [`limits::MAX_CLIENTS`](crate::limits::MAX_CLIENTS)
    /// (4096) unless set, and never more than three quarters of the process's limit of open files.
    ///
    /// A further one is accepted, closed at once and reported by `on_error`.
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.options.max_clients = clients;
        self
    }

    /// Sets the first and the longest pause after a connection that could not be accepted:
    /// [`limits::ACCEPT_PAUSE`](crate::limits::ACCEPT_PAUSE) (10 ms, doubling to 1 s) unless set. Each is
    /// twice the one before, and none shorter than a millisecond.
    ///
    /// The connection waits in the backlog meanwhile; clients that are connected notice nothing.
    pub fn accept_pause(mut self, pause: impl Into<Delay>) -> Self {
        self.options.accept_pause = pause.into();
        self
    }

    /// Sets how much all connections together may have queued, in bytes:
    /// [`limits::OUTBOX_TOTAL_LEN`](crate::limits::OUTBOX_TOTAL_LEN) (512 MiB) unless set.
    ///
    /// A broadcast of 16 KiB and more is shared by the connections and counts once; a shorter one counts for
    /// each that holds it. Replies that wait for room count, and so do the buffers that connections share.
    ///
    /// Where a message has no room in it, an outbox takes the message only if it then holds no more than
    /// [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB). Otherwise:
    ///
    /// - `send`, `request` and `broadcast` fail with [`SendError::OutboxTotalFull`](crate::SendError::OutboxTotalFull).
    ///   No client gets the broadcast, and no connection is ended for it;
    /// - `send_async` and `broadcast_async` wait for room;
    /// - a reply becomes an error reply (code [`failed`](crate::ErrorReply::FAILED)) that names this option;
    /// - a client that is behind for `write_stall`, and holds more than its share, this limit divided by the number of
    ///   clients, is ended as slow ([`CloseCause::SlowClient`](crate::CloseCause::SlowClient)): so there is room again.
    ///   A client is behind while its socket takes no more, until its outbox is below 64 KiB again.
    ///
    /// So there is never more than this limit and 128 KiB for each connection, beside error replies of less than 1 KiB
    /// to requests that run already, and a single message that is longer than the limit.
    pub fn outbox_total_len(mut self, bytes: usize) -> Self {
        self.options.outbox_total_len = bytes;
        self
    }

    /// Sets how much all connections together may have received and not dispatched, with the requests whose responders
    /// run, in bytes: [`limits::INBOX_TOTAL_LEN`](crate::limits::INBOX_TOTAL_LEN) (512 MiB) unless set.
    ///
    /// The first 64 KiB of each connection do not count, of received messages and of running requests separately, so
    /// that small messages always pass. Beyond the limit
    ///
    /// - connections that need more are read in turns, users in a ring and each user's connections in a ring, out of a
    ///   reserve of two messages of the limit;
    /// - of the connections with more than 64 KiB of an unfinished message that send nothing more for a second, the
    ///   largest are reported by `on_message_error` and ended
    ///   ([`CloseCause::InboxFull`](crate::CloseCause::InboxFull)), as many as make room for one message;
    /// - a request of more than 64 KiB for an asynchronous responder gets an error reply (code
    ///   [`too_many_requests`](crate::ErrorReply::TOO_MANY_REQUESTS)), and a connection with more than 64 KiB of
    ///   running requests waits for one of them;
    /// - the server's own requests to a client that it has not read from for a second fail with
    ///   [`RequestError::InboxFull`](crate::RequestError::InboxFull).
    pub fn inbox_total_len(mut self, bytes: usize) -> Self {
        self.options.inbox_total_len = bytes;
        self
    }

    /// Lets in only the user that this process runs as. See [`allow_users`](Self::allow_users).
    pub fn same_user_only(self) -> Self {
        let user = rustix::process::geteuid().as_raw();
        self.allow_users([user])
    }

    /// Lets in only these users, by user id: every user that the socket file's permissions let in, unless set.
    ///
    /// The kernel tells the user of a connection (`SO_PEERCRED`). A connection of another user is closed before a byte
    /// of it is read, and reported by `on_error`. The superuser is no exception. With
    /// [`allow_groups`](Self::allow_groups) the users of the allowed groups are let in, too.
    ///
    /// A process of another user namespace, such as one outside of this container, may have a user without a number
    /// here. The kernel reports all such users as 65534, so allowing 65534 allows every one of them.
    pub fn allow_users(mut self, users: impl IntoIterator<Item = u32>) -> Self {
        self.options.allowed_users = Some(users.into_iter().collect());
        self
    }

    /// Lets in only the users of these groups, by number or name, and the users of [`allow_users`](Self::allow_users):
    /// every user that the socket file's permissions let in, unless set.
    ///
    /// A user is in a group if the kernel reports it as the group of the client's process, or if the system's tables of
    /// users and groups say so when the client connects. While the server reads these tables, it accepts no other
    /// client. `listen` looks up the names of groups; for an unknown name it fails with
    /// [`ListenError::Group`](crate::ListenError::Group).
    ///
    /// ```
    /// let server = socket_ipc::Server::builder("/run/myApp/myApp.sock").mode(0o666).allow_groups(["myapp"]).build();
    /// ```
    pub fn allow_groups<G: Into<Group>>(mut self, groups: impl IntoIterator<Item = G>) -> Self {
        self.options.allowed_groups = Some(groups.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the socket that the server listens on: one that another process has bound and listens on. The file belongs
    /// to that process, and the server never removes it. The path then is only a name.
    ///
    /// See [`Server::from_listener`].
    pub fn listener(mut self, listener: UnixListener) -> Self {
        self.inherited = Some(listener);
        self
    }

    /// Makes the server.
    #[must_use]
    pub fn build(self) -> Server<P> {
        Server::with_options(self.options, self.inherited)
    }
}

impl<P> fmt::Debug for ServerBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
