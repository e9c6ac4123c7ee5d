"""The generated client in Python at a server that sends any bytes: each is an error by name, and nothing else breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from typing import Any, Awaitable, Callable, Iterator

import chat
from chat import Client, Connected, Disconnected, MessageError

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
path = sys.argv[1]
logging.getLogger("socket_ipc").setLevel(logging.CRITICAL)


async def against(serve: Callable[[Reader, Writer], Awaitable[Any]], use: Callable[[Client], Awaitable[Any]], **options: Any) -> Any:
    """Runs a client against a server of one connection."""

    async def serve_and_close(reader: Reader, writer: Writer) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve_and_close, path, limit=1 << 26)
    client = Client(path, **options)
    await client.connect(timeout=10)
    try:
        return await asyncio.wait_for(use(client), 30)
    finally:
        await client.close()
        server.close()


@contextlib.contextmanager
def limits(**of_test: Any) -> Iterator[None]:
    """Other limits than those of the client."""
    before = {name: getattr(chat, name) for name in of_test}
    vars(chat).update(of_test)
    try:
        yield
    finally:
        vars(chat).update(before)


def cancelled_future() -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


async def lines(reader: Reader) -> Any:
    while line := await reader.readline():
        yield json.loads(line)


def sending(*parts: bytes) -> Callable[[Reader, Writer], Awaitable[Any]]:
    """Sends these bytes to a client that has sent a ping: it listens by then."""

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        for part in parts:
            writer.write(part)
            await writer.drain()
        await reader.read()

    return serve


def first_mistakes(client: Client, count: int) -> Awaitable[list[str]]:
    events = client.events()

    async def read() -> list[str]:
        found: list[str] = []
        async for event in events:
            if isinstance(event, MessageError):
                found.append(event.reason)
                if len(found) == count:
                    break
        return found

    return read()


GREETING = b'{"topic":"greeting","message":{"text":"%s"}}\n'

# What a message error is, and what its text has.
MISTAKES = [
    (b"hello\n", "another wire"),
    (b"[]\n", "not an object"),
    (b"42\n", "not an object"),
    (b'{"message":1}\n', "no topic"),
    (b'{"topic":7}\n', "no string"),
    (b'{"topic":"a","topic":"b"}\n', "two keys `topic`"),
    (b'{"topic":"a","message":1,"message":2}\n', "two keys `message`"),
    (b'{"topic":"a","t\\u006fpic":"b"}\n', "two keys `topic`"),
    (b'{"topic":"greeting","message":NaN}\n', "NaN"),
    (b'{"topic":"greeting","message":-Infinity}\n', "-Infinity"),
    (b'{"topic":"greeting","message":{"number":1e999}}\n', "message.number is inf"),
    (b'{"topic":"greeting","message":{"number":%s}}\n' % (b"9" * 310 + b".5"), "message.number is inf"),
    (b'{"topic":"greeting","message":{"text":["a","\\udc00"]}}\n', "message.text[1] has a lone surrogate"),
    (b'{"topic":"greeting","message":{"\\ud800":1}}\n', "a key of message has a lone surrogate"),
    (b'{"topic":"\\ud800","message":1}\n', "topic has a lone surrogate"),
    (b'{"topic":"greeting","message":"\xff"}\n', "utf-8"),
    (b'{"topic":"greeting","message":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n", "nested too deeply"),
    (b'{"topic":"greeting","message":"' + b"x" * (5 << 20) + b'"}\n', "4194304 bytes"),
    (b"x" * (20 << 20) + b"\n", "4194304 bytes"),
    (b'{"topic":"log","message":{"lines":1}}\n', "without an id"),
    (b'{"topic":"which","message":1,"id":true}\n', "whose id is no integer and no short string: True"),
    (b'{"topic":"which","message":1,"id":"\\ud800"}\n', "whose id is no integer and no short string: '\\ud800'"),
    (b'{"topic":"which","message":1,"id":"%s"}\n' % (b"a" * 65), "whose id is no integer and no short string: 'aaa"),
]


async def no_items(_: chat.Log) -> Any:
    return
    yield ""


async def any_bytes() -> None:
    async def use(client: Client) -> tuple[list[str], str]:
        greeted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        client.on("greeting", lambda greeting: greeted.set_result(greeting["text"]))
        client.respond("which", lambda which: which)
        client.respond_stream("log", no_items)
        found = first_mistakes(client, len(MISTAKES))
        await client.send("ping")
        return await found, await greeted

    greeting = GREETING % "\u2028é😀".encode()
    found, text = await against(sending(b"\n \r\n", *(sent for sent, _ in MISTAKES), greeting), use)
    # Bytes that are no message are reported as they arrive, and a message where it would be dispatched.
    for sent, expected in MISTAKES:
        reason = next((reason for reason in found if expected in reason), None)
        assert reason is not None, (sent[:60], expected, found)
        found.remove(reason)
    assert text == "\u2028é😀", text


async def bytes_one_at_a_time() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        for byte in GREETING % "é\\ud83d\\ude00".encode():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async def use(client: Client) -> str:
        greeted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        client.on("greeting", lambda greeting: greeted.set_result(greeting["text"]))
        await client.send("ping")
        return await greeted

    assert await against(serve, use) == "é😀"


async def replies() -> None:
    cancelled: list[int] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        async for envelope in lines(reader):
            if envelope["topic"] == "socket-ipc.cancel":
                cancelled.append(envelope["message"])
                continue
            reply = {
                "surrogate": b'{"topic":"submit","message":"\\ud800","re":%d}\n',
                "stream": b'{"topic":"submit","started":true,"re":%d}\n',
                "item": b'{"topic":"submit","message":1,"more":true,"re":%d}\n',
                "nothing": b'{"topic":"submit","re":%d}\n{"topic":"submit","message":2,"re":%d}\n',
                "older": b'{"topic":"error","message":{"code":"failed","text":"no","data":7},"re":%d}\n',
                "other": b'{"topic":"error","message":{"code":"failed","text":"no","data":7},"error":false,"re":%d}\n',
            }[envelope["message"]["command"]]
            writer.write(reply.replace(b"%d", str(envelope["id"]).encode()))

    async def use(client: Client) -> list[str]:
        found = []
        for command in ("surrogate", "stream", "item", "nothing", "older", "other"):
            try:
                found.append(repr(await client.request("submit", {"command": command})))
            except chat.RequestError as error:
                found.append(f"{type(error).__name__} {error}")
        # The second reply of `nothing`.
        assert client.late_replies == 1, client.late_replies
        return found

    surrogate, stream, item, nothing, older, other = await against(serve, use)
    assert surrogate.startswith("ReplyUndecodable") and "message has a lone surrogate" in surrogate, surrogate
    assert stream.startswith("NotAStream") and item.startswith("NotAStream"), (stream, item)
    assert cancelled == [2, 3], cancelled
    assert nothing == "None", nothing
    assert older == other == "SubmitFailed request `submit`: no", (older, other)


async def windows() -> None:
    written: list[Any] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        async for envelope in lines(reader):
            written.append(envelope)
            if "window" in envelope:
                of_all: list[Any] = [{"topic": "follow", "started": True, "re": envelope["id"]}]
                for item in ("a" * 100, "b" * 100, "c" * 100):
                    of_all.append({"topic": "follow", "message": {"Output": item}, "more": True, "re": envelope["id"]})
                writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in of_all))

    async def use(client: Client) -> int:
        count = 0
        try:
            async for _ in client.stream("follow", {"id": 1}, window=200):
                count += 1
        except chat.WindowExceeded:
            pass
        try:
            # It has no room for any item, and is not taken for the default.
            async for _ in client.stream("follow", {"id": 1}, window=0):
                count += 1
        except chat.WindowExceeded:
            return count
        return -1

    # The third item comes while nothing is left of the window.
    assert await against(serve, use) == 2
    assert [it["window"] for it in written if "window" in it] == [200, 1], written
    assert {"topic": "socket-ipc.cancel", "message": 1, "re": 0} in written, written


async def idle_streams() -> None:
    written: list[Any] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        async for envelope in lines(reader):
            written.append(envelope)
            if "window" in envelope:
                writer.write(b'{"topic":"follow","message":"Started","more":true,"re":%d}\n' % envelope["id"])

    async def use(client: Client) -> tuple[Any, str]:
        stream = client.stream("follow", {"id": 1}, idle_timeout=0.05)
        item = await stream.__anext__()
        try:
            return item, repr(await stream.__anext__())
        except chat.RequestTimeout as error:
            return item, str(error)

    # Messages were received: the wire is the right one.
    assert await against(serve, use) == ("Started", "request `follow`: no item within 0.05 s")
    assert written[1:] == [{"topic": "socket-ipc.cancel", "message": 1, "re": 0}], written


async def streams_of_the_client() -> None:
    received: list[Any] = []
    ended = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        writer.write(b'{"topic":"log","message":{"lines":100},"window":1000,"id":"a"}\n')
        writer.write(b'{"topic":"log","message":{"lines":100},"id":9}\n')
        writer.write(b'{"topic":"which","message":1,"window":1,"id":10}\n')
        for id, window in enumerate((b"-1", b'"1"', b"[1]", b"true"), 11):
            writer.write(b'{"topic":"log","message":{"lines":1},"window":%s,"id":%d}\n' % (window, id))
        async for envelope in lines(reader):
            received.append(envelope)
            items = sum(1 for it in received if it.get("more"))
            if items == 15:
                # The window is used up. It is opened again, and then the stream is given up.
                writer.write(b'{"topic":"socket-ipc.more","message":["a",700],"re":0}\n')
            if items == 20:
                writer.write(b'{"topic":"socket-ipc.cancel","message":"a","re":0}\n')

    async def use(client: Client) -> None:
        async def log(request: chat.Log) -> Any:
            try:
                for line in range(request["lines"]):
                    yield f"line {line}"
            finally:
                ended.set()

        client.respond_stream("log", log)
        client.respond("which", lambda which: which)
        await client.send("ping")
        await ended.wait()

    await against(serve, use)
    codes = {it["re"]: it["message"]["code"] for it in received if it.get("error")}
    assert codes == dict.fromkeys(range(9, 15), "stream"), codes
    texts = [it["message"] for it in received if it.get("more")]
    assert texts == [f"line {line}" for line in range(len(texts))] and 20 <= len(texts) < 40, texts


async def values_that_cannot_be_sent() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = None
    for _ in range(200):
        deep = [deep]
    values = [
        (float("nan"), "message.name[0] is nan"),
        ("\udc00", "message.name[0] has a lone surrogate"),
        (b"bytes", "message.name[0] is of type bytes"),
        (circle, "Circular"),
        (deep, "127 levels"),
        ("x" * (5 << 20), "4194304"),
    ]

    async def use(client: Client) -> None:
        untyped: Any = client
        for value, expected in values:
            try:
                await untyped.send("hello", {"name": [value]})
            except chat.EncodeError as error:
                assert expected in str(error), error
            else:
                raise AssertionError(f"sent: {expected}")

    received: list[Any] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        received.append(await reader.read())

    await against(serve, use)
    assert received == [b""], received


async def held_back() -> None:
    """A listener that waits holds the server back, and replies pass."""
    written = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal written
        envelope = json.loads(await reader.readline())
        writer.write(b'{"topic":"submit","message":{"id":1},"re":%d}\n' % envelope["id"])
        for _ in range(20_000):
            writer.write(GREETING % (b"x" * 1000))
            written += 1
            await writer.drain()

    async def use(client: Client) -> int:
        release = asyncio.Event()
        count = 0

        async def listen(_: chat.Greeting) -> None:
            nonlocal count
            count += 1
            await release.wait()

        client.on("greeting", listen)
        await client.request("submit", {"command": "bake"})
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.1)
        assert count == 1 and written < 10_000, (count, written)
        release.set()
        while count < 20_000:
            await asyncio.sleep(0.01)
        return count

    assert await against(serve, use) == 20_000


async def listeners_that_are_cancelled() -> None:
    async def use(client: Client) -> list[str]:
        greeted: asyncio.Queue[str] = asyncio.Queue()

        async def listen(greeting: chat.Greeting) -> None:
            greeted.put_nowait(greeting["text"])
            await cancelled_future()

        client.on("greeting", listen)
        client.on("greeting", lambda _: cancelled_future().result())
        await client.send("ping")
        return [await greeted.get() for _ in range(3)]

    assert await against(sending(GREETING % b"a", GREETING % b"b", GREETING % b"c"), use) == ["a", "b", "c"]


async def responders() -> None:
    received: list[Any] = []
    topic = b"t" * ((4 << 20) - 100)

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        requests = [b'{"topic":"which","message":%d,"id":%d}\n' % (n, n) for n in (1, 2, 3, 4, 5)]
        # Behind them: a request without an id, a topic that leaves no room for a text, and one id twice.
        requests.append(b'{"topic":"which","message":6}\n{"topic":"%s","id":7}\n' % topic)
        requests.append(b'{"topic":"which","message":5,"id":8}\n{"topic":"which","message":9,"id":8}\n')
        requests.append(b'{"topic":"log","message":{"lines":1},"window":9,"id":8}\n')
        writer.write(b"".join(requests) + GREETING % b"")
        async for envelope in lines(reader):
            received.append(envelope)
            if len(received) == 9:
                break

    async def use(client: Client) -> tuple[list[str], list[str]]:
        seen: list[str] = []
        release = asyncio.Event()

        async def which(number: int) -> int:
            seen.append(str(number))
            if number == 1:
                await cancelled_future()
            if number == 2:
                raise chat.ErrorReply("x" * (5 << 20))
            if number == 3:
                raise chat.ErrorReply("an odd code", code="\ud800")
            if number == 4:
                raise KeyError(number)
            if number == 5:
                await release.wait()
            return number

        def greet(_: chat.Greeting) -> None:
            seen.append("greeting")
            release.set()

        client.respond("which", which)
        client.respond_stream("log", no_items)
        client.on("greeting", greet)
        found = first_mistakes(client, 1)
        await client.send("ping")
        mistakes = await found
        while len(received) < 9:
            await asyncio.sleep(0.01)
        return seen, mistakes

    seen, mistakes = await against(serve, use)
    # A responder begins before the message behind its request is dispatched.
    assert seen == ["1", "2", "3", "4", "5", "6", "5", "9", "greeting"], seen
    assert "whose id is that of another one: 8" in mistakes[0], mistakes
    codes = {it["re"]: it["message"]["code"] for it in received if it.get("error")}
    assert codes == {1: "panicked", 2: "failed", 3: "failed", 4: "panicked", 7: "no_responder"}, codes
    replies = sorted((str(it["re"]), it["message"], it["topic"]) for it in received if not it.get("error"))
    assert replies == [(id, number, "number") for id, number in (("5", 5), ("8", 5), ("8", 9), ("None", 6))], replies


async def places_taken_by_streams() -> None:
    received: list[Any] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        writer.write(b'{"topic":"log","message":{"lines":1},"window":0,"id":"a"}\n')
        writer.write(b'{"topic":"which","message":1,"id":1}\n{"topic":"which","message":2,"id":2}\n')
        async for envelope in lines(reader):
            received.append(envelope)
            if envelope.get("error"):
                writer.write(b'{"topic":"socket-ipc.cancel","message":"a","re":0}\n')
                writer.write(b'{"topic":"which","message":3,"id":3}\n')

    async def use(client: Client) -> None:
        asked: asyncio.Queue[int] = asyncio.Queue()

        async def which(number: int) -> int:
            asked.put_nowait(number)
            return await asyncio.get_running_loop().create_future()

        client.respond("which", which)
        client.respond_stream("log", no_items)
        await client.send("ping")
        assert [await asked.get(), await asked.get()] == [1, 3]

    with limits(_MAX_REQUESTS=2):
        await against(serve, use)
    assert [it["message"]["code"] for it in received if it.get("error")] == ["too_many_requests"], received


async def long_pause() -> None:
    """A server that is not read from is not late with the rest of a message."""
    async def use(client: Client) -> None:
        texts: asyncio.Queue[str] = asyncio.Queue()

        async def listen(greeting: chat.Greeting) -> None:
            if texts.empty():
                await asyncio.sleep(2 * chat._INCOMPLETE_TIMEOUT)
            texts.put_nowait(greeting["text"])

        client.on("greeting", listen)
        events = client.events()
        await client.send("ping")
        while texts.qsize() < 40:
            await asyncio.sleep(0.01)
        await client.close()
        assert await events.__anext__() == Disconnected("the client was closed")

    with limits(_INCOMPLETE_TIMEOUT=0.3, _READ_AHEAD=1000):
        await against(sending(GREETING % (b"x" * 30_000) * 40), use)


async def close_in_flight() -> None:
    """What is in flight at the end is given up at the server, which may wait for that."""
    received: list[Any] = []
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(reader: Reader, writer: Writer) -> None:
        async for envelope in lines(reader):
            received.append(envelope)
            if "window" in envelope:
                writer.write(b'{"topic":"follow","started":true,"re":%d}\n' % envelope["id"])
                writer.write(b'{"topic":"follow","message":"Started","more":true,"re":%d}\n' % envelope["id"])
        if sum(it["topic"] == "socket-ipc.cancel" for it in received) < 2:
            await never

    async def use(client: Client) -> Any:
        request = asyncio.ensure_future(client.request("submit", {"command": "bake"}))
        stream = client.stream("follow", {"id": 1})
        await stream.__anext__()
        begin = asyncio.get_running_loop().time()
        await client.close()
        took = asyncio.get_running_loop().time() - begin
        assert took < chat._DRAIN / 2, took
        for ended in (request, stream.__anext__()):
            try:
                await ended
            except chat.ConnectionLost:
                continue
            raise AssertionError(ended)

    await against(serve, use)
    cancelled = [it["message"] for it in received if it["topic"] == "socket-ipc.cancel"]
    assert sorted(cancelled) == [1, 2], received


async def listener_waits_for_the_next_connection() -> None:
    connections = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await reader.readline()
            writer.write(GREETING % b"first" + GREETING % b"second")
        else:
            await reader.read()

    async def use(client: Client) -> tuple[list[Any], str]:
        texts = []
        ended = ""

        async def listen(greeting: chat.Greeting) -> None:
            nonlocal ended
            texts.append(greeting["text"])
            try:
                while True:
                    with contextlib.suppress(chat.NotConnected):
                        await client.request("submit", {"command": "bake"})
                    await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                ended = "cancelled"
                raise
            except chat.ConnectionLost:
                await listen(greeting)

        client.on("greeting", listen)
        events = client.events()
        await client.send("ping")
        seen: list[Any] = []
        while Connected(True) not in seen:
            seen.append(await events.__anext__())
        assert ended == "cancelled" and set(texts) == {"first"}, (ended, texts)
        return seen, ended

    with limits(_DRAIN=0.1):
        seen, _ = await against(serve, use, reconnect_delay=(0.0, 0.0))
    mistake, lost, again = seen
    assert "a listener has not returned" in mistake.reason and "1 messages behind it are dropped" in mistake.reason, seen
    assert isinstance(lost, Disconnected) and again == Connected(True), seen


async def server_that_reads_nothing() -> None:
    """It is noticed although each request times out before, and what was never sent is not cancelled."""
    received: list[Any] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await reads
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        async for envelope in lines(reader):
            received.append(envelope)

    async def timed_out(client: Client) -> None:
        request = client.request("submit", {"command": "y" * 100_000})
        try:
            await request
        except chat.RequestTimeout:
            return
        except (chat.ConnectionLost, chat.NotConnected):
            return
        raise AssertionError("a reply")

    async def use(client: Client) -> None:
        await asyncio.gather(*(timed_out(client) for _ in range(100)))
        reads.set_result(None)
        await client.send("ping")

    reads: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await against(serve, use, request_timeout=0.05)
    ids = [it["id"] for it in received if it["topic"] == "submit"]
    cancelled = [it["message"] for it in received if it["topic"] == "socket-ipc.cancel"]
    assert 0 < len(ids) < 100 and sorted(cancelled) == ids, (ids, cancelled)

    async def use_stalled(client: Client) -> str:
        events = client.events()
        lost = asyncio.ensure_future(events.__anext__())
        while not lost.done():
            await asyncio.gather(*(timed_out(client) for _ in range(20)))
        return str(lost.result())

    reads = asyncio.get_running_loop().create_future()
    with limits(_WRITE_STALL=0.2):
        reason = await against(serve, use_stalled, request_timeout=0.05)
    assert "accepted no bytes" in reason, reason
    reads.set_result(None)


async def main() -> None:
    tests = [
        any_bytes, bytes_one_at_a_time, replies, windows, idle_streams, streams_of_the_client, values_that_cannot_be_sent, held_back,
        listeners_that_are_cancelled, responders, places_taken_by_streams, long_pause, close_in_flight,
        listener_waits_for_the_next_connection, server_that_reads_nothing,
    ]  # fmt: skip
    for test in tests:
        await test()
        print(test.__name__, flush=True)


asyncio.run(main())
