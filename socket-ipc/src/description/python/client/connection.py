class _Connection(asyncio.Protocol):
    """One connection: bytes to lines, lines to replies and to the inbox, and what is in flight."""

    def __init__(self, report: Callable[[Event], None], count_late: Callable[[], None]) -> None:
        self.report = report
        self.count_late = count_late
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self.in_flight: dict[int, Union[_Call, _RunningStream]] = {}
        self.ids = itertools.count(1)
        self.responders: set[_Responder] = set()
        self.responders_by_id: dict[Union[int, str], list[_Responder]] = {}
        self.inbox: collections.deque[tuple[dict[str, Any], Optional[str], int]] = collections.deque()
        self.inbox_len = 0
        self.inbox_filled = asyncio.Event()
        self.has_received = False
        self._received = bytearray()
        self._searched = 0
        self._is_skipping = False
        self._incomplete: Optional[asyncio.TimerHandle] = None
        self._is_paused = False
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._written = 0
        self._stall: Optional[asyncio.TimerHandle] = None
        self._reason = "the server closed the connection"
        self._is_finishing = False
        self.is_over = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self._received += data
        start = 0
        while (end := self._received.find(DELIMITER, max(start, self._searched))) >= 0:
            line = bytes(self._received[start:end])
            start = end + len(DELIMITER)
            self._searched = start
            if self._is_skipping:
                self._is_skipping = False
            elif len(line) > MAX_MESSAGE_LEN:
                self._skip(len(line))
            else:
                self._receive(line)
        del self._received[:start]
        if len(self._received) > MAX_MESSAGE_LEN + len(DELIMITER):
            if not self._is_skipping:
                self._skip(len(self._received))
            self._is_skipping = True
            del self._received[: -len(DELIMITER)]
        self._searched = max(0, len(self._received) - len(DELIMITER) + 1)
        self._watch_incomplete(start > 0)

    def eof_received(self) -> None:
        if self._received:
            self._reason += f" within a message of which {len(self._received)} bytes had arrived"

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.is_over = True
        if error is not None:
            self._reason = str(error)
        for timer in (self._incomplete, self._stall):
            if timer is not None:
                timer.cancel()
        self._room.set()
        for call in list(self.in_flight.values()):
            call.fail(ConnectionLost(call.topic, f"the connection was lost: {self._reason}"))
        self.in_flight.clear()
        for responder in list(self.responders):
            responder.give_up()
        self.inbox_filled.set()
        if not self.ended.done():
            self.ended.set_result(self._reason)

    def pause_writing(self) -> None:
        self._room.clear()
        self._watch_stall(self._accepted())

    def resume_writing(self) -> None:
        self._room.set()
        if self._stall is not None:
            self._stall.cancel()

    def _accepted(self) -> int:
        return self._written - self.transport.get_write_buffer_size()

    def _watch_stall(self, before: int) -> None:
        self._stall = self.loop.call_later(_WRITE_STALL, self._check_stall, before)

    def _check_stall(self, before: int) -> None:
        accepted = self._accepted()
        if accepted > before:
            self._watch_stall(accepted)
        else:
            self.abort(f"the server accepted no bytes for {_WRITE_STALL:.0f} s")

    # Receiving.

    @property
    def doubt(self) -> str:
        """What an error asks while no message was ever received."""
        return "" if self.has_received else ": does the server speak another wire?"

    def _skip(self, length: int) -> None:
        self.report(MessageError(f"a message of more than {MAX_MESSAGE_LEN} bytes was skipped ({length} bytes or more)"))

    def _watch_incomplete(self, is_progress: bool) -> None:
        # While nothing is read, nothing can be late.
        if self._incomplete is not None and (is_progress or not self._received or self._is_paused):
            self._incomplete.cancel()
            self._incomplete = None
        if self._received and self._incomplete is None and not self._is_paused:
            reason = f"a message is incomplete after {_INCOMPLETE_TIMEOUT:.0f} s: does the server speak another wire?"
            self._incomplete = self.loop.call_later(_INCOMPLETE_TIMEOUT, self.abort, reason)

    def _receive(self, line: bytes) -> None:
        text = line.strip(b" \t\r\n")
        if not text:
            return
        try:
            envelope, mistake = _decode(text)
        except _Undecodable as error:
            shown = text[:80].decode(errors="replace")
            self.report(MessageError(f"{len(line)} bytes that are no message: {error}: {shown!r}{self.doubt}"))
            return
        self.has_received = True
        reply_to = envelope.get("re")
        if reply_to is None:
            self.inbox.append((envelope, mistake, len(line)))
            self.inbox_len += len(line) + _ITEM_COST
            self.inbox_filled.set()
            self.balance()
        elif isinstance(reply_to, int) and reply_to != 0 and not isinstance(reply_to, bool):
            call = self.in_flight.get(reply_to)
            if call is None:
                self.count_late()
            elif call.receive(envelope, len(line), mistake):
                self.in_flight.pop(reply_to, None)
                self.balance()
        elif reply_to == 0 and not isinstance(reply_to, bool):
            self._control(envelope)
        else:
            self.count_late()

    def _control(self, envelope: Mapping[str, Any]) -> None:
        """The server gives up a request, or takes more items of a stream."""
        topic = envelope["topic"]
        message: Any = envelope.get(MESSAGE_KEY)
        if topic == "socket-ipc.cancel" and _is_id(message):
            # A request that has not begun is never begun.
            kept = [it for it in self.inbox if "re" in it[0] or it[0].get("id") != message or it[0]["id"] is True]
            self.inbox_len -= sum(it[2] + _ITEM_COST for it in self.inbox) - sum(it[2] + _ITEM_COST for it in kept)
            self.inbox = collections.deque(kept)
            self.balance()
            for responder in self.responders_by_id.pop(message, ()):
                responder.give_up()
                self.responders.discard(responder)
        elif topic == "socket-ipc.more" and isinstance(message, list) and len(message) == 2 and _is_id(message[0]):
            if isinstance(message[1], (int, float)) and message[1] > 0:
                for responder in self.responders_by_id.get(message[0], ()):
                    responder.widen(min(message[1], 2**63))

    def hold(self, responder: _Responder) -> None:
        """From now on a cancel finds it."""
        if responder.id is not None:
            self.responders_by_id.setdefault(responder.id, []).append(responder)

    def release(self, responder: _Responder) -> None:
        self.responders.discard(responder)
        if responder.id is not None:
            same = self.responders_by_id.get(responder.id, [])
            if responder in same:
                same.remove(responder)
            if not same:
                self.responders_by_id.pop(responder.id, None)

    def balance(self) -> None:
        """Reads no further while as much as possible is read ahead. Replies wait behind more than that, too."""
        most = _READ_AHEAD + (MAX_MESSAGE_LEN if self.in_flight else 0)
        if self.is_over or self._is_paused == (self.inbox_len > most):
            return
        self._is_paused = not self._is_paused
        if self._is_paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
        self._watch_incomplete(False)

    # Sending.

    async def send(self, line: bytes, call: Union[_Call, _RunningStream, None] = None) -> None:
        """Hands a line over, as soon as the server has read enough of the earlier ones, in the order of the calls."""
        async with self._turn:
            while not self._room.is_set():
                await self._room.wait()
            self.write(line)
            if call is not None:
                call.is_sent = True

    async def send_unless(self, line: bytes, call: _Call) -> None:
        """Hands the line of a request over, unless it is over first."""
        if self._room.is_set() and not self._turn.locked():
            self.write(line)
            call.is_sent = True
            return
        sending = asyncio.ensure_future(self.send(line, call))
        try:
            await asyncio.wait({sending, call.reply}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            sending.cancel()
            raise
        if sending.done():
            sending.result()
        else:
            sending.cancel()

    def write(self, line: bytes) -> None:
        if not self.is_open:
            raise NotConnected(f"not connected: {self._reason}")
        self._written += len(line)
        self.transport.write(line)

    @property
    def is_open(self) -> bool:
        return not (self.is_over or self._is_finishing or self.transport.is_closing())

    def control(self, topic: str, message: Any) -> None:
        """Writes a control line. The Node library would take it for a message."""
        if HAS_CONTROL_LINES:
            with contextlib.suppress(NotConnected):
                self.write(_encode(topic, {MESSAGE_KEY: message, "re": 0}))

    def begin(self, call: Union[_Call, _RunningStream], id: int) -> None:
        if len(self.in_flight) >= _MAX_REQUESTS:
            raise TooManyRequests(call.topic, f"{_MAX_REQUESTS} requests are in flight")
        self.in_flight[id] = call
        self.balance()

    def cancel(self, id: int) -> None:
        """Gives up a request, unless it is over."""
        call = self.in_flight.pop(id, None)
        if call is not None:
            if call.is_sent:
                self.control("socket-ipc.cancel", id)
            self.balance()

    # The end.

    def abort(self, reason: str) -> None:
        self._reason = reason
        self.transport.abort()

    async def close(self) -> None:
        """Writes what is queued, and ends the connection."""
        self._reason = "the client was closed"
        for id, call in list(self.in_flight.items()):
            call.fail(ConnectionLost(call.topic, self._reason))
            self.cancel(id)
        self._is_finishing = True
        if not self.is_over:
            if self._is_paused:
                self._is_paused = False
                self.transport.resume_reading()
            with contextlib.suppress(OSError, RuntimeError):
                # The server still reads everything: an end without reading what it sent would lose that.
                self.transport.write_eof()
            done, _ = await asyncio.wait({self.ended}, timeout=_DRAIN)
            if not done:
                self.transport.abort()
                await self.ended
