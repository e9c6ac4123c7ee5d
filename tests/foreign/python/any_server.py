"""The generated client in Python at a server that sends any bytes: each is an error by name, and nothing else breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any, Awaitable, Callable

import chat
from chat import Client, MessageError

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
    (b"hello\n", "no message"),
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
    (b'{"topic":"which","message":1}\n', "without an id"),
    (b'{"topic":"which","message":1,"id":true}\n', "whose id is none"),
]


async def any_bytes() -> None:
    async def use(client: Client) -> tuple[list[str], str]:
        greeted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        client.on("greeting", lambda greeting: greeted.set_result(greeting["text"]))
        client.respond("which", lambda which: which)
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
    async def serve(reader: Reader, writer: Writer) -> None:
        async for envelope in lines(reader):
            reply = {
                "surrogate": b'{"topic":"submit","message":"\\ud800","re":%d}\n',
                "stream": b'{"topic":"submit","started":true,"re":%d}\n',
                "nothing": b'{"topic":"submit","re":%d}\n{"topic":"submit","message":2,"re":%d}\n',
                "older": b'{"topic":"error","message":{"code":"failed","text":"no","data":7},"re":%d}\n',
            }[envelope["message"]["command"]]
            writer.write(reply.replace(b"%d", str(envelope["id"]).encode()))

    async def use(client: Client) -> list[str]:
        found = []
        for command in ("surrogate", "stream", "nothing", "older"):
            try:
                found.append(repr(await client.request("submit", {"command": command})))
            except chat.RequestError as error:
                found.append(f"{type(error).__name__} {error}")
        return found

    surrogate, stream, nothing, older = await against(serve, use)
    assert surrogate.startswith("ReplyUndecodable") and "message has a lone surrogate" in surrogate, surrogate
    assert stream.startswith("NotAStream"), stream
    assert nothing == "None", nothing
    assert older == "SubmitFailed request `submit`: no", older


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
            return count
        return -1

    # The third item comes while nothing is left of the window.
    assert await against(serve, use) == 2
    assert {"topic": "socket-ipc.cancel", "message": 1, "re": 0} in written, written


async def streams_of_the_client() -> None:
    received: list[Any] = []
    ended = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readline()
        writer.write(b'{"topic":"log","message":{"lines":100},"window":1000,"id":"a"}\n')
        writer.write(b'{"topic":"log","message":{"lines":100},"id":9}\n')
        writer.write(b'{"topic":"which","message":1,"window":1,"id":10}\n')
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
    assert codes == {9: "stream", 10: "stream"}, codes
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


async def main() -> None:
    tests = [
        any_bytes, bytes_one_at_a_time, replies, windows, streams_of_the_client, values_that_cannot_be_sent, held_back,
    ]  # fmt: skip
    for test in tests:
        await test()
        print(test.__name__, flush=True)


asyncio.run(main())
