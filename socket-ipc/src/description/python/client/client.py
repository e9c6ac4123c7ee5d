class Client:
    """A client of the server at ``path``.

    ``async with`` connects and closes it. A connection that is lost is made again, until ``close``. It belongs to one
    event loop. What goes wrong besides is reported by ``events``, and by the logger ``socket_ipc``.

    ``request_timeout`` and ``connect_timeout`` are in seconds, as are the pauses, which are drawn between two bounds:
    ``retry_delay`` between two attempts to connect, ``reconnect_delay`` before the first one after a connection was
    lost. ``stream_window`` is in bytes: how much of a stream may lie unread.
    """

    def __init__(
        self,
        path: str,
        *,
        request_timeout: float = _REQUEST_TIMEOUT,
        connect_timeout: float = _CONNECT_TIMEOUT,
        retry_delay: tuple[float, float] = _RETRY_DELAY,
        reconnect_delay: tuple[float, float] = _RECONNECT_DELAY,
        stream_window: int = _STREAM_WINDOW,
    ) -> None:
        self.path = path
        self._request_timeout = request_timeout
        self._connect_timeout = connect_timeout
        self._retry_delay = retry_delay
        self._reconnect_delay = reconnect_delay
        self._stream_window = stream_window
        self._listeners: dict[str, list[Callable[[Any], object]]] = {}
        self._responders: dict[str, Callable[[Any], Any]] = {}
        self._events: weakref.WeakSet[_Events] = weakref.WeakSet()
        self._keeper: Optional[asyncio.Task[None]] = None
        self._dispatcher: Optional[asyncio.Task[None]] = None
        self._connection: Optional[_Connection] = None
        self._ready: Optional[asyncio.Future[None]] = None
        self._was_connected = False
        self._failed: Optional[OSError] = None

    async def connect(self, *, timeout: Optional[float] = None, attempts: Optional[int] = None) -> None:
        """Returns as soon as there is a connection, and keeps it from then on.

        Without a server it tries again and again. ``timeout`` bounds that in seconds, ``attempts`` in attempts;
        beyond them it raises ``ConnectError``.
        """
        if self._keeper is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._was_connected = False
            self._keeper = asyncio.ensure_future(self._keep(attempts))
        ready = self._ready
        if ready is None:
            return
        try:
            # Others may wait for the same connection.
            await asyncio.wait({ready}, timeout=timeout)
        except asyncio.CancelledError:
            self._give_up(ConnectError(self.path, "the call was cancelled", 0))
            raise
        if not ready.done():
            cause = f": {self._failed}" if self._failed is not None else ""
            error = ConnectError(self.path, f"no connection within {timeout} s{cause}", 0)
            self._give_up(error)
            raise error
        ready.result()

    def _give_up(self, error: ConnectError) -> None:
        """Ends the attempts to connect for the first time. A connection that was lost is made again all the same."""
        ready, keeper = self._ready, self._keeper
        if ready is not None and not ready.done() and keeper is not None and not self._was_connected:
            self._keeper = None
            keeper.cancel()
            ready.set_exception(error)
            ready.exception()

    async def close(self) -> None:
        """Writes what is queued, and ends the connection. What is in flight fails; no listener is called any more."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectError(self.path, "the client was closed", 0))
            self._ready.exception()
        self._ready = None
        dispatcher = self._dispatcher
        # A listener may close its own client.
        if dispatcher is not None and dispatcher is not asyncio.current_task():
            dispatcher.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
            self._report(Disconnected("the client was closed"))

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def events(self) -> AsyncIterator[Event]:
        """What happens to the connection from now on, without an end. Who reads late gets ``Lagged``."""
        events = _Events()
        self._events.add(events)
        return events

    # [methods]

    # How the client is kept connected.

    async def _keep(self, attempts: Optional[int]) -> None:
        is_again = False
        while True:
            connection = await self._establish(attempts)
            if connection is None:
                return
            attempts = None
            self._connection = connection
            self._was_connected, self._failed = True, None
            self._report(Connected(is_again))
            self._dispatcher = asyncio.ensure_future(self._dispatch(connection))
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            reason = await asyncio.shield(connection.ended)
            self._ready = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._dispatcher})
            self._connection = None
            self._report(Disconnected(reason))
            is_again = True
            await asyncio.sleep(random.uniform(*self._reconnect_delay))

    async def _establish(self, attempts: Optional[int]) -> Optional[_Connection]:
        for attempt in itertools.count(1):
            loop = asyncio.get_running_loop()
            try:
                _, connection = await asyncio.wait_for(
                    loop.create_unix_connection(lambda: _Connection(self._report), self.path), self._connect_timeout
                )
                return connection
            except asyncio.TimeoutError:
                error = OSError(f"the server did not accept the connection within {self._connect_timeout} s")
            except OSError as failed:
                error = failed
            self._failed = error
            self._report(ConnectFailed(error))
            (_logger.warning if attempt == 1 and attempts is None else _logger.debug)(
                "%s: can't connect: %s", self.path, error
            )
            if attempt == attempts:
                self._keeper = None
                if self._ready is not None:
                    gave_up = ConnectError(self.path, f"gave up after {attempt} attempts: {error}", attempt)
                    gave_up.__cause__ = error
                    self._ready.set_exception(gave_up)
                break
            await asyncio.sleep(random.uniform(*self._retry_delay))
        return None

    def _report(self, event: Event) -> None:
        if isinstance(event, MessageError):
            _logger.warning("%s: %s", self.path, event.reason)
        for events in list(self._events):
            events.put(event)

    def _current(self) -> _Connection:
        if self._connection is None or self._connection.is_over:
            raise NotConnected(f"{self.path}: not connected")
        return self._connection

    # How messages, requests and streams are sent.

    async def _send(self, topic: str, message: Any) -> None:
        connection = self._current()
        await connection.send(_encode(topic, {MESSAGE_KEY: message}))

    async def _request(self, topic: str, message: Any, timeout: Optional[float]) -> Any:
        connection = self._current()
        call, id = _Call(topic), next(connection.ids)
        line = _encode(topic, {MESSAGE_KEY: message, "id": id})
        connection.begin(call, id)
        seconds = self._request_timeout if timeout is None else timeout
        late = RequestTimeout(topic, f"no reply within {seconds} s")
        timer = asyncio.get_running_loop().call_later(seconds, call.fail, late)
        try:
            await connection.send_unless(line, call.reply)
            return await call.reply
        finally:
            timer.cancel()
            # It tells the server, unless the reply is there: the request may have timed out, or its task be cancelled.
            connection.cancel(id)
            if not call.reply.cancel() and not call.reply.cancelled():
                call.reply.exception()  # asyncio would report one that nobody looks at

    def _stream(
        self, topic: str, message: Any, window: Optional[int], idle_timeout: Optional[float]
    ) -> Stream[Any]:
        if not HAS_CONTROL_LINES:
            raise NoStreams(topic, "a server with a wire of the Node library has no streams")

        async def begin() -> _RunningStream:
            connection = self._current()
            id = next(connection.ids)
            running = _RunningStream(
                topic,
                window or self._stream_window,
                self._request_timeout,
                renew=lambda by: connection.control("socket-ipc.more", [id, by]),
                cancel=lambda: connection.cancel(id),
            )
            line = _encode(topic, {MESSAGE_KEY: message, "window": running.window, "id": id})
            connection.begin(running, id)
            try:
                await connection.send(line)
            except BaseException:
                connection.cancel(id)
                raise
            return running

        return Stream(begin, idle_timeout)

    # How what arrives is dispatched.

    def _on(self, topic: str, listener: Callable[[Any], object]) -> Callable[[], None]:
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    def _respond(self, topic: str, responder: Callable[[Any], Any]) -> None:
        if topic in self._responders:
            raise ValueError(f"`{topic}` has a responder already")
        self._responders[topic] = responder

    async def _dispatch(self, connection: _Connection) -> None:
        while self._keeper is not None:
            while not connection.inbox:
                if connection.is_over:
                    return
                connection.inbox_filled.clear()
                await connection.inbox_filled.wait()
            envelope, mistake, length = connection.inbox.popleft()
            connection.inbox_len -= length + _ITEM_COST
            connection.balance()
            if envelope.get("id") is None or "re" in envelope:
                await self._listen(envelope, mistake)
            else:
                await self._begin_responder(connection, envelope, mistake)

    async def _listen(self, envelope: Mapping[str, Any], mistake: Optional[str]) -> None:
        topic = envelope["topic"]
        if mistake is not None:
            self._report(MessageError(f"a message of `{topic}` can't be read: {mistake}"))
            return
        if topic in self._responders and "re" not in envelope:
            self._report(MessageError(f"a request `{topic}` without an id"))
            return
        for listener in list(self._listeners.get(topic, ())):
            try:
                result = listener(envelope.get(MESSAGE_KEY))
                if inspect.isawaitable(result):
                    await result
            except Exception:
                _logger.exception("%s: a listener of `%s` failed", self.path, topic)

    async def _begin_responder(
        self, connection: _Connection, envelope: Mapping[str, Any], mistake: Optional[str]
    ) -> None:
        topic, id = envelope["topic"], envelope["id"]
        if isinstance(id, bool) or not isinstance(id, (int, str)) or id in connection.responders:
            self._report(MessageError(f"a request `{topic}` whose id is none, or that of another one: {id!r}"))
            return
        while len(connection.responders) >= _MAX_REQUESTS:
            await asyncio.wait({it.task for it in connection.responders.values()}, return_when=asyncio.FIRST_COMPLETED)
        responder = self._responders.get(topic)
        if responder is None:
            reply = _error_line(id, "no_responder", f"no responder for `{topic}`")
        elif mistake is not None:
            reply = _error_line(id, "undecodable", f"the request `{topic}` can't be read: {mistake}")
        elif ("window" in envelope) != (topic in _STREAMS_OF_CLIENT):
            reply = _error_line(id, "stream", "a stream is requested with a `window`, and a single reply without")
        else:
            window = envelope.get("window")
            if window is None:
                window = math.inf
            replying = self._reply_items if "window" in envelope else self._reply
            task = asyncio.ensure_future(replying(connection, responder, envelope))
            connection.responders[id] = _Responder(task, window)
            task.add_done_callback(lambda _: connection.responders.pop(id, None))
            return
        with contextlib.suppress(NotConnected):
            await connection.send(reply)

    async def _reply(
        self, connection: _Connection, responder: Callable[[Any], Any], envelope: Mapping[str, Any]
    ) -> None:
        topic, id = envelope["topic"], envelope["id"]
        try:
            reply = responder(envelope.get(MESSAGE_KEY))
            if inspect.isawaitable(reply):
                reply = await reply
            line = _encode(_REPLY_TOPICS_OF_CLIENT.get(topic, topic), {MESSAGE_KEY: reply, "re": id})
        except Exception as error:
            line = self._failure(topic, id, error)
        with contextlib.suppress(NotConnected):
            await connection.send(line)

    async def _reply_items(
        self, connection: _Connection, responder: Callable[[Any], Any], envelope: Mapping[str, Any]
    ) -> None:
        topic, id = envelope["topic"], envelope["id"]
        running = connection.responders[id]
        items = None
        try:
            await connection.send(_encode(topic, {"started": True, "re": id}))
            items = responder(envelope.get(MESSAGE_KEY)).__aiter__()
            while True:
                await running.open()
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    line = _encode(topic, {MESSAGE_KEY: None, "re": id})
                    break
                line = _encode(topic, {MESSAGE_KEY: item, "more": True, "re": id})
                running.take(len(line) - len(DELIMITER))
                await connection.send(line)
        except NotConnected:
            return
        except Exception as error:
            line = self._failure(topic, id, error)
        finally:
            aclose = getattr(items, "aclose", None)
            if aclose is not None:
                await aclose()
        with contextlib.suppress(NotConnected):
            await connection.send(line)

    def _failure(self, topic: str, id: Union[int, str], error: Exception) -> bytes:
        """The error reply for what a responder has raised."""
        try:
            if isinstance(error, RequestFailed):
                return _error_line(id, "failed", error.text, data=error.error)
        except EncodeError as unsendable:
            error = unsendable
        if isinstance(error, ErrorReply):
            return _error_line(id, error.code, error.text)
        _logger.error("%s: the responder of `%s` failed", self.path, topic, exc_info=error)
        if isinstance(error, EncodeError):
            return _error_line(id, "failed", str(error))
        return _error_line(id, "panicked", f"the responder of `{topic}` raised {type(error).__name__}")


def _error_line(id: Union[int, str], code: str, text: str, **data: Any) -> bytes:
    text = text.encode(errors="replace").decode()
    return _encode("error", {MESSAGE_KEY: {"code": code, "text": text, **data}, "error": True, "re": id})


class _Events(AsyncIterator[Event]):
    """A bounded queue of events."""

    def __init__(self) -> None:
        self._queue: collections.deque[Event] = collections.deque()
        self._missed = 0
        self._filled: Optional[asyncio.Future[None]] = None

    def put(self, event: Event) -> None:
        if len(self._queue) < _MAX_EVENTS and self._missed == 0:
            self._queue.append(event)
        else:
            self._missed += 1
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._missed:
                missed, self._missed = self._missed, 0
                return Lagged(missed)
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled
        return self._queue.popleft()
