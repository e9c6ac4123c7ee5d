class _Call:
    """A request in flight that waits for its reply."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.is_sent = False

    def receive(self, envelope: Mapping[str, Any], length: int, mistake: Optional[str]) -> bool:
        """Takes a line of the reply, and says whether it was the last one."""
        error = _error_in(self.topic, envelope, mistake)
        is_part = envelope.get("started") is True or envelope.get("more") is True
        is_last = _is_error(self.topic, envelope) or not is_part
        if error is None and is_part:
            error = NotAStream(self.topic, "the reply is a stream: request it by `stream`")
        if not self.reply.done():
            if error is None:
                self.reply.set_result(envelope.get(MESSAGE_KEY))
            else:
                self.reply.set_exception(error)
        # Of a stream it is still in flight, until its task cancels it.
        return is_last

    def fail(self, error: RequestError) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


class _RunningStream:
    """A stream in flight: the items that were not read, and what is left of its window."""

    def __init__(
        self,
        topic: str,
        window: int,
        start_timeout: Optional[float],
        renew: Callable[[int], None],
        cancel: Callable[[], None],
        doubt: Callable[[], str],
    ) -> None:
        self.topic = topic
        self.items: collections.deque[tuple[Any, int]] = collections.deque()
        self.window = self.left = window
        self.start_timeout = start_timeout
        self.read = 0
        self.has_started = False
        self.has_ended = False
        self.error: Optional[RequestError] = None
        self.changed: Optional[asyncio.Future[None]] = None
        self.renew = renew
        self.cancel = cancel
        self.doubt = doubt
        self.is_sent = False

    def receive(self, envelope: Mapping[str, Any], length: int, mistake: Optional[str]) -> bool:
        error = _error_in(self.topic, envelope, mistake)
        if error is not None:
            self.fail(error)
            if not _is_error(self.topic, envelope):
                self.cancel()
        elif envelope.get("started") is True:
            self.has_started = True
        elif envelope.get("more") is True:
            self.has_started = True
            cost = max(length, _ITEM_COST)
            if self.left <= 0 or cost > self.window:
                self.fail(WindowExceeded(self.topic, f"an item of {cost} bytes is beyond the window of {self.window}"))
                self.cancel()
            else:
                self.left -= cost
                self.items.append((envelope.get(MESSAGE_KEY), cost))
        elif self.has_started:
            self.has_ended = True
        else:
            self.fail(NotAStream(self.topic, "the reply is no stream: request it by `request`"))
        self.wake()
        return self.has_ended

    def fail(self, error: RequestError) -> None:
        self.has_started = self.has_ended = True
        self.error = error
        self.wake()

    def wake(self) -> None:
        if self.changed is not None and not self.changed.done():
            self.changed.set_result(None)

    async def change(self, timeout: Optional[float], late: str) -> None:
        """Waits for a line. Silence for ``timeout`` seconds ends the stream."""
        loop = asyncio.get_running_loop()
        self.changed = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, self.expire, f"{late} within {timeout} s")
        try:
            await self.changed
        finally:
            self.changed = None
            if timer is not None:
                timer.cancel()

    def expire(self, reason: str) -> None:
        self.fail(RequestTimeout(self.topic, f"{reason}{self.doubt()}"))
        self.cancel()

    async def next(self, timeout: Optional[float]) -> Any:
        while not self.items:
            if self.has_ended:
                error, self.error = self.error, None
                raise error if error is not None else StopAsyncIteration()
            await self.change(timeout, "no item")
        message, cost = self.items.popleft()
        self.read += cost
        if self.read * 2 >= self.window and not self.has_ended:
            self.left += self.read
            self.renew(self.read)
            self.read = 0
        return message


class Stream(AsyncIterator[_T]):
    """The items of a stream, for ``async for``. It is requested when the first item is.

    Leaving the loop, ``aclose`` and the cancellation of the task that waits for an item cancel it: the server drops
    its responder. ``async with`` calls ``aclose`` at once on every Python.
    """

    def __init__(self, begin: Callable[[], Awaitable[_RunningStream]], idle_timeout: Optional[float]) -> None:
        self._begin = begin
        self._idle_timeout = idle_timeout
        self._is_closed = False
        self._running: Optional[_RunningStream] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def started(self) -> None:
        """Returns as soon as the server has a responder for the stream and has begun it."""
        if self._is_closed:
            return
        self._loop = asyncio.get_running_loop()
        try:
            if self._running is None:
                self._running = await self._begin()
            while not self._running.has_started:
                await self._running.change(self._running.start_timeout, "no begin")
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if self._running.error is not None and not self._running.items:
            error, self._running.error = self._running.error, None
            raise error

    async def __anext__(self) -> _T:
        if self._running is None or not self._running.has_started:
            await self.started()
        if self._is_closed or self._running is None:
            raise StopAsyncIteration
        try:
            item: _T = await self._running.next(self._idle_timeout)
        except asyncio.CancelledError:
            await self.aclose()
            raise
        return item

    async def aclose(self) -> None:
        """Cancels the stream, unless it has ended."""
        self._is_closed = True
        if self._running is not None:
            self._running.items.clear()
            self._running.cancel()

    async def __aenter__(self) -> Stream[_T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # A loop that is left drops its iterator. Garbage may be collected on any thread.
        if self._running is not None and not self._running.has_ended and not self._is_closed and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._running.cancel)


def _is_error(topic: str, envelope: Mapping[str, Any]) -> bool:
    # Programs that are older or written by hand leave the key out.
    return envelope.get("error") is True or (
        envelope["topic"] == "error" and _REPLY_TOPICS.get(topic, topic) != "error"
    )


def _error_in(topic: str, envelope: Mapping[str, Any], mistake: Optional[str]) -> Optional[RequestError]:
    """The exception that a line of a reply stands for, if it is no reply."""
    if mistake is not None:
        return ReplyUndecodable(topic, f"the reply can't be read: {mistake}")
    if not _is_error(topic, envelope):
        return None
    reply = envelope.get(MESSAGE_KEY)
    reply = reply if isinstance(reply, dict) else {}
    code, text = str(reply.get("code", "failed")), str(reply.get("text", "an error reply without a text"))
    failed = _FAILURES.get(topic)
    if failed is not None and "data" in reply:
        return failed(reply["data"], text)
    return (NoResponder if code == "no_responder" else RequestRejected)(topic, code, text)
