class _Responder:
    """A request of the server that is being replied to."""

    def __init__(self, envelope: Mapping[str, Any], respond: Callable[[Any], Any]) -> None:
        self.topic: str = envelope["topic"]
        self.message = envelope.get(MESSAGE_KEY)
        self.respond = respond
        self.id: Union[int, str, None] = envelope.get("id")
        self.is_stream = "window" in envelope and self.id is not None
        window = envelope.get("window")
        self.window: float = math.inf if window is None else window
        self.whole = self.window
        self.widened = asyncio.Event()
        self.task: Optional[asyncio.Task[None]] = None
        self.is_given_up = False

    @property
    def is_awaited(self) -> bool:
        """Whether anybody gets a reply. Without an id it needs a topic of its own."""
        return not self.is_given_up and (self.id is not None or self.topic in _REPLY_TOPICS_OF_CLIENT)

    def give_up(self) -> None:
        self.is_given_up = True
        if self.task is not None:
            self.task.cancel()

    def widen(self, by: float) -> None:
        self.window += by
        self.whole = max(self.whole, self.window)
        self.widened.set()

    def take(self, length: int) -> None:
        cost = max(length, _ITEM_COST)
        if cost > self.whole:
            reason = f"an item of {cost} bytes is longer than the window of {self.whole:.0f}: request a wider one"
            raise ErrorReply(reason, code="window")
        self.window -= cost

    async def open(self) -> None:
        """Waits until something is left of the window."""
        while self.window <= 0:
            self.widened.clear()
            await self.widened.wait()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _is_id(id: Any) -> bool:
    """Whether a reply can repeat it."""
    if isinstance(id, str):
        return not _SURROGATE.search(id) and len(id.encode()) <= _MAX_ID_LEN
    return isinstance(id, int) and not isinstance(id, bool) and abs(id) < 10**_MAX_ID_LEN


def _is_window(window: Any) -> bool:
    return window is None or (isinstance(window, int) and not isinstance(window, bool) and window >= 0)


def _error_line(id: Union[int, str, None], code: str, text: str, **data: Any) -> bytes:
    text = str(text).encode(errors="replace").decode()
    return _encode("error", {MESSAGE_KEY: {"code": code, "text": text, **data}, "error": True, "re": id})


def _short_error_line(id: Union[int, str, None], code: str, text: str) -> bytes:
    """An error reply with as much of its text as the server takes."""
    for length in (1000, 100, 0):
        with contextlib.suppress(MessageTooLarge):
            return _error_line(id, code, text[:length])
    return b""
