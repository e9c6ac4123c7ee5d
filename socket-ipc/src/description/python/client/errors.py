class SocketIpcError(Exception):
    """The base of what this client raises."""


class ConnectError(SocketIpcError):
    """There was no connection in time, or after ``attempts`` of them. The client may connect again."""

    def __init__(self, path: str, reason: str, attempts: int) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.attempts = attempts


class NotConnected(SocketIpcError):
    """There is no connection at the moment. Nothing was sent."""


class EncodeError(SocketIpcError, ValueError):
    """A message that can't be sent; the text names the place in it. Nothing was sent."""


class MessageTooLarge(EncodeError):
    """A message that is longer than the server takes."""


class RequestError(SocketIpcError):
    """A request without a reply. ``topic`` is its topic."""

    topic: str = ""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"request `{topic}`: {reason}")
        self.topic = topic


class RequestFailed(RequestError):
    """The responder's own typed error. Each request that has one has a subclass, whose ``error`` has its type.

    A responder raises it to fail a request of the server.
    """

    error: Any
    text: str

    def __init__(self, error: Any, text: str = "") -> None:
        super().__init__(self.topic, text or repr(error))
        self.error = error
        self.text = text


class RequestRejected(RequestError):
    """Any other error reply: a ``code`` for programs, and a ``text`` for people."""

    def __init__(self, topic: str, code: str, text: str) -> None:
        super().__init__(topic, f"{text} ({code})")
        self.code = code
        self.text = text


class NoResponder(RequestRejected):
    """The server has no responder for the topic."""


class RequestTimeout(RequestError):
    """There was no reply in time, no begin of a stream, or no item within ``idle_timeout``."""


class ConnectionLost(RequestError):
    """The connection ended before the reply, or before the end of the stream."""


class TooManyRequests(RequestError):
    """As many requests and streams as possible are in flight. Nothing was sent."""


class ReplyUndecodable(RequestError):
    """The reply is no valid message."""


class NotAStream(RequestError):
    """The server sent a single reply where a stream was requested, or the reverse."""


class NoStreams(RequestError):
    """The wires of the Node library have no streams. Nothing was sent."""


class WindowExceeded(RequestError):
    """The server sent more items than the window of the stream allows."""


class ErrorReply(SocketIpcError):
    """What a responder raises to fail a request without a typed error: a text for people, and a code for programs."""

    def __init__(self, text: str, *, code: str = "failed") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True)
class Connected:
    """There is a connection; ``again`` after an earlier one was lost."""

    again: bool


@dataclass(frozen=True)
class Disconnected:
    """The connection has ended. The client connects again, unless it is closed."""

    reason: str


@dataclass(frozen=True)
class ConnectFailed:
    """An attempt to connect has failed. The client tries again."""

    error: OSError


@dataclass(frozen=True)
class MessageError:
    """Bytes of the server that are no message, or a message that was not dispatched."""

    reason: str


@dataclass(frozen=True)
class Lagged:
    """So many events in this place were missed, because they were not read in time."""

    count: int


Event = Union[Connected, Disconnected, ConnectFailed, MessageError, Lagged]
