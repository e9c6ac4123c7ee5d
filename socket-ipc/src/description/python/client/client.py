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
        self._listening: Optional[asyncio.Task[Any]] = None
        self._connection: Optional[_Connection] = None
        self._ready: Optional[asyncio.Future[None]] = None
        self._was_connected = False
        self._failed: Optional[OSError] = None
        self._late_replies = 0

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
        if dispatcher is not None and asyncio.current_task() not in (dispatcher, self._listening):
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

    @property
    def late_replies(self) -> int:
        """How many replies and items came for requests that nobody waits for any more."""
        return self._late_replies

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
            await self._finish_dispatching(connection, self._dispatcher)
            self._connection = None
            self._report(Disconnected(reason))
            is_again = True
            await asyncio.sleep(random.uniform(*self._reconnect_delay))

    async def _finish_dispatching(self, connection: _Connection, dispatcher: asyncio.Task[None]) -> None:
        """Waits until what has arrived is dispatched. A listener may wait for the next connection: it is cancelled."""
        left = -1
        while not dispatcher.done() and left != len(connection.inbox):
            left = len(connection.inbox)
            await asyncio.wait({dispatcher}, timeout=_DRAIN)
        if not dispatcher.done():
            connection.inbox.clear()
            more = f", and {left} messages behind it are dropped" if left else ""
            reason = f"a listener has not returned {_DRAIN:.0f} s after the connection was lost: it is cancelled{more}"
            self._report(MessageError(reason))
            dispatcher.cancel()
            await asyncio.wait({dispatcher}, timeout=_DRAIN)

    async def _establish(self, attempts: Optional[int]) -> Optional[_Connection]:
        for attempt in itertools.count(1):
            loop = asyncio.get_running_loop()
            try:
                _, connection = await asyncio.wait_for(
                    loop.create_unix_connection(lambda: _Connection(self._report, self._count_late), self.path),
                    self._connect_timeout,
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

    def _count_late(self) -> None:
        self._late_replies += 1

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

        def expire() -> None:
            call.fail(RequestTimeout(topic, f"no reply within {seconds} s{connection.doubt}"))

        timer = asyncio.get_running_loop().call_later(seconds, expire)
        try:
            await connection.send_unless(line, call)
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
                self._stream_window if window is None else max(window, 1),
                self._request_timeout,
                renew=lambda by: connection.control("socket-ipc.more", [id, by]),
                cancel=lambda: connection.cancel(id),
                doubt=lambda: connection.doubt,
            )
            line = _encode(topic, {MESSAGE_KEY: message, "window": running.window, "id": id})
            connection.begin(running, id)
            try:
                await connection.send(line, running)
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
        while self._connection is connection:
            while not connection.inbox:
                if connection.is_over:
                    return
                connection.inbox_filled.clear()
                await connection.inbox_filled.wait()
            envelope, mistake, length = connection.inbox.popleft()
            connection.inbox_len -= length + _ITEM_COST
            connection.balance()
            if envelope.get("id") is None or "re" in envelope:
                await self._receive(connection, envelope, mistake)
            else:
                await self._receive_request(connection, envelope, mistake)

    async def _receive(self, connection: _Connection, envelope: Mapping[str, Any], mistake: Optional[str]) -> None:
        topic = envelope["topic"]
        responder = self._responders.get(topic) if "re" not in envelope else None
        if mistake is not None:
            self._report(MessageError(f"a message of `{topic}` can't be read: {mistake}"))
        elif responder is not None and topic in _STREAMS_OF_CLIENT:
            self._report(MessageError(f"a request `{topic}` of a stream without an id"))
        else:
            if responder is not None:
                await self._begin(connection, responder, envelope)
            for listener in list(self._listeners.get(topic, ())):
                await self._call(listener, envelope)

    async def _call(self, listener: Callable[[Any], object], envelope: Mapping[str, Any]) -> None:
        """Calls a listener, and waits for it. What it raises ends nothing else, a cancellation of its own included."""
        failed: Optional[BaseException] = None
        try:
            returned = listener(envelope.get(MESSAGE_KEY))
        except (Exception, asyncio.CancelledError) as error:
            failed = error
        else:
            if inspect.isawaitable(returned):
                failed = await self._failure_of(returned)
        if failed is not None:
            _logger.error("%s: a listener of `%s` failed", self.path, envelope["topic"], exc_info=failed)

    async def _failure_of(self, listening: Awaitable[Any]) -> Optional[BaseException]:
        # In a task of its own: a listener that meets a cancellation is told from a dispatcher that is cancelled.
        task = self._listening = asyncio.ensure_future(_awaited(listening))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=_DRAIN)
            raise
        finally:
            self._listening = None
        return asyncio.CancelledError("the listener was cancelled") if task.cancelled() else task.exception()

    async def _receive_request(
        self, connection: _Connection, envelope: Mapping[str, Any], mistake: Optional[str]
    ) -> None:
        topic, id, is_stream = envelope["topic"], envelope["id"], "window" in envelope
        if not _is_id(id):
            self._report(MessageError(f"a request `{topic}` whose id is no integer and no short string: {id!r:.100}"))
            return
        same = connection.responders_by_id.get(id, ())
        if any(is_stream or it.is_stream for it in same):
            self._report(MessageError(f"a request `{topic}` whose id is that of another one: {id!r}"))
            return
        responder = self._responders.get(topic)
        if responder is None:
            reply = _short_error_line(id, "no_responder", f"no responder for `{topic}`")
        elif mistake is not None:
            reply = _short_error_line(id, "undecodable", f"the request `{topic}` can't be read: {mistake}")
        elif is_stream != (topic in _STREAMS_OF_CLIENT):
            reply = _short_error_line(
                id, "stream", "a stream is requested with a `window`, and a single reply without"
            )
        elif is_stream and not _is_window(envelope["window"]):
            shown = f"{envelope['window']!r:.100}"
            reply = _short_error_line(id, "stream", f"the `window` is a number of bytes or `null`, not {shown}")
        elif len(connection.responders) >= _MAX_REQUESTS and any(it.is_stream for it in connection.responders):
            # Streams may go on for ever.
            reply = _short_error_line(id, "too_many_requests", f"{_MAX_REQUESTS} requests are in flight")
        else:
            await self._begin(connection, responder, envelope)
            return
        with contextlib.suppress(NotConnected):
            await connection.send(reply)

    async def _begin(
        self, connection: _Connection, responder: Callable[[Any], Any], envelope: Mapping[str, Any]
    ) -> None:
        """Has a responder begin, as soon as there is a place."""
        running = _Responder(envelope, responder)
        connection.hold(running)
        while len(connection.responders) >= _MAX_REQUESTS:
            tasks = {it.task for it in connection.responders if it.task is not None}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if running.is_given_up:
            connection.release(running)
            return
        replying = self._reply_items if running.is_stream else self._reply
        running.task = asyncio.ensure_future(replying(connection, running))
        connection.responders.add(running)
        running.task.add_done_callback(lambda _: connection.release(running))
        # It makes its first step before the next message is dispatched.
        await asyncio.sleep(0)

    async def _reply(self, connection: _Connection, running: _Responder) -> None:
        try:
            reply = running.respond(running.message)
            if inspect.isawaitable(reply):
                reply = await reply
            topic = _REPLY_TOPICS_OF_CLIENT.get(running.topic, running.topic)
            line = _encode(topic, {MESSAGE_KEY: reply, "re": running.id})
        except asyncio.CancelledError as error:
            self._reply_cancelled(connection, running, error)
            raise
        except Exception as error:
            line = self._failure(running, error)
        await self._send_last(connection, running, line)

    async def _reply_items(self, connection: _Connection, running: _Responder) -> None:
        topic, id = running.topic, running.id
        items = None
        try:
            try:
                await connection.send(_encode(topic, {"started": True, "re": id}))
                items = running.respond(running.message).__aiter__()
                while True:
                    await running.open()
                    try:
                        item = await items.__anext__()
                    except StopAsyncIteration:
                        line = _encode(topic, {MESSAGE_KEY: None, "re": id})
                        break
                    if running.is_given_up:
                        return
                    line = _encode(topic, {MESSAGE_KEY: item, "more": True, "re": id})
                    running.take(len(line) - len(DELIMITER))
                    await connection.send(line)
            finally:
                aclose = getattr(items, "aclose", None)
                if aclose is not None:
                    await aclose()
        except asyncio.CancelledError as error:
            self._reply_cancelled(connection, running, error)
            raise
        except Exception as error:
            if isinstance(error, NotConnected) and not connection.is_open:
                return
            line = self._failure(running, error)
        await self._send_last(connection, running, line)

    async def _send_last(self, connection: _Connection, running: _Responder, line: bytes) -> None:
        if running.is_awaited:
            with contextlib.suppress(NotConnected):
                await connection.send(line)

    def _reply_cancelled(
        self, connection: _Connection, running: _Responder, error: asyncio.CancelledError
    ) -> None:
        """A responder awaited something that was cancelled. The server would wait for a reply."""
        if running.is_given_up:
            return
        line = self._failure(running, error)
        if running.is_awaited:
            with contextlib.suppress(NotConnected):
                connection.write(line)

    def _failure(self, running: _Responder, error: BaseException) -> bytes:
        """The error reply for what a responder has raised."""
        topic, id = running.topic, running.id
        try:
            if isinstance(error, RequestFailed):
                return _error_line(id, "failed", error.text, data=error.error)
            if isinstance(error, ErrorReply):
                return _error_line(id, error.code, error.text)
        except Exception as unsendable:
            error = unsendable
        _logger.error("%s: the responder of `%s` failed", self.path, topic, exc_info=error)
        if isinstance(error, EncodeError):
            return _short_error_line(id, "failed", str(error))
        return _short_error_line(id, "panicked", f"the responder of `{topic}` raised {type(error).__name__}")


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
