"""The client in Python: it shows each behaviour that it reads the name of, and prints what it saw.

``suite_client.py`` beside it is generated from the description of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import platform
import sys
from typing import Any, AsyncIterator, Optional

import suite_client
from suite_client import Client, ClientSubmitFailed, NumbersFailed, SubmitFailed


INTEGERS = (
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740992",
    "18446744073709551616",
)


def shown(**line: Any) -> None:
    print(json.dumps(line), flush=True)


@contextlib.asynccontextmanager
async def connected(path: str, **options: Any) -> AsyncIterator[Client]:
    client = Client(path, **options)
    await client.connect(timeout=10)
    try:
        yield client
    finally:
        await client.close()


def name(error: BaseException) -> str:
    """What the suite calls an error."""
    if isinstance(error, suite_client.RequestRejected) and error.code in ("undecodable", "panicked"):
        return error.code
    names = [
        (suite_client.NoResponder, "no_responder"),
        (suite_client.RequestRejected, "rejected"),
        (suite_client.NotConnected, "not_connected"),
        (suite_client.MessageTooLarge, "too_large"),
        (suite_client.EncodeError, "refused"),
        (suite_client.RequestTimeout, "timeout"),
        (suite_client.ConnectionLost, "connection_lost"),
        (suite_client.RequestFailed, "failed"),
    ]
    return next((name for of, name in names if isinstance(error, of)), repr(error))


async def name_of(request: Any) -> str:
    try:
        await request
    except Exception as error:
        return name(error)
    return "a reply"


async def messages(path: str) -> Any:
    async with connected(path) as client:
        for n in range(10_000):
            await client.send("number", {"n": n})
        sent = await client.request("counted")
        ticks: list[int] = []
        client.on("tick", lambda tick: ticks.append(tick["n"]))
        await client.request("burst", {"count": 10_000})
        received = {"count": len(ticks), "in_order": ticks == list(range(10_000))}
        return {"sent": sent, "received": received}


async def requests(path: str) -> Any:
    async with connected(path) as client:
        sums = await asyncio.gather(*(client.request("add", {"left": left, "right": 1}) for left in range(1_000)))
        client.respond("double", lambda double: 2 * double["n"])
        asked_back = await client.request("ask back", {"count": 100})
        news: asyncio.Queue[str] = asyncio.Queue()
        client.on("news", lambda it: news.put(it["text"]))
        await client.request("announce", {"text": "hello, all"})
        right = sum(left + 1 == it for left, it in enumerate(sums))
        return {"sums": right, "asked_back": asked_back, "news": await news.get()}


async def errors(path: str) -> Any:
    async with connected(path) as client:
        try:
            await client.request("submit", {"command": "boil"})
        except SubmitFailed as submitting:
            failed = submitting
        try:
            await client.request("divide", {"dividend": 1, "divisor": 0})
        except suite_client.RequestRejected as divide:
            rejected = divide
        untyped: Any = client
        others = [
            await name_of(client.request("nobody")),
            await name_of(untyped.request("add", "no numbers")),
            await name_of(client.request("panics")),
            await name_of(client.request("hang", {"key": ""}, timeout=0.05)),
        ]
        without = await client.request("try client")

        async def submit(_: Any) -> Any:
            raise ClientSubmitFailed({"QueueFull": {"max": 7}}, "the queue holds 7 jobs")

        client.respond("client submit", submit)
        return {
            "failed": failed.error,
            "text": failed.text,
            "rejected": [rejected.code, rejected.text],
            "others": others,
            "client": [without, await client.request("try client")],
        }


async def streams(path: str) -> Any:
    async with connected(path, stream_window=4096) as client:
        slow = client.stream("numbers", {"key": "slow in Python", "count": 1_000})
        numbers = [(await slow.__anext__())["n"]]

        async def read(key: str) -> list[int]:
            return [number["n"] async for number in client.stream("numbers", {"key": key, "count": 1_000})]

        of_all = await asyncio.gather(*(read(str(number)) for number in range(1, 100)))
        made = await client.request("progress", {"key": "slow in Python"})
        numbers += [number["n"] async for number in slow]
        of_all.append(numbers)
        before, failed = 0, None
        try:
            async for _ in client.stream("numbers", {"key": "", "count": 3, "fails": True}):
                before += 1
        except NumbersFailed as error:
            failed = error.error
        return {
            "streams": len(of_all),
            "items": sum(map(len, of_all)),
            "in_order": all(numbers == list(range(len(numbers))) for numbers in of_all),
            "slow_was_held": made < 500,
            "failed": failed,
            "items_before": before,
        }


async def cancellation(path: str) -> Any:
    async with connected(path) as client:
        request = asyncio.ensure_future(client.request("hang", {"key": "request in Python"}))
        # Another request behind it: when that has its reply, the first has begun.
        await client.request("counted")
        request.cancel()
        await client.request("dropped", {"key": "request in Python"})
        timed_out = await name_of(client.request("hang", {"key": "timeout in Python"}, timeout=0.05))
        await client.request("dropped", {"key": "timeout in Python"})
        gc.disable()  # leaving the loop is enough
        async for item in client.stream("endless", {"key": "stream in Python"}):
            break
        await client.request("dropped", {"key": "stream in Python"})
        gc.enable()
        cancelled = asyncio.Event()

        async def wait(_: None) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        client.respond("wait", wait)
        await client.request("cancel client")
        await cancelled.wait()
        return {"dropped": ["request", timed_out, "stream"], "item": item, "responder": "cancelled"}


async def restart(path: str) -> Any:
    client = Client(f"{path}.restart", retry_delay=(0.02, 0.02))
    events = client.events()
    await client.connect(timeout=10)
    in_flight = asyncio.ensure_future(name_of(client.request("hang", {"key": ""})))
    stream = client.stream("endless", {"key": ""})
    item = await stream.__anext__()
    shown(ready="restart")
    failed = [await in_flight, await name_of(stream.__anext__())]
    seen: list[str] = []
    async for event in events:
        if isinstance(event, suite_client.Connected):
            seen.append("connect again" if event.again else "connect")
        elif isinstance(event, suite_client.Disconnected):
            seen.append("disconnect")
        if seen[-1:] == ["connect again"]:
            break
    total = await client.request("add", {"left": 2, "right": 3})
    await client.close()
    return {"item": item, "failed": failed, "events": seen, "sum": total}


async def big(path: str) -> Any:
    async with connected(path) as client:
        # Characters of every length in UTF-8, so that some are split by what is read at once.
        long = "é€😀" * ((4 * 1024 * 1024 - 200) // 9)
        echoed = await client.request("big", {"text": long})
        beyond = await name_of(client.request("big", {"text": "é€😀" * ((4 * 1024 * 1024 + 9) // 9)}))
        total = await client.request("add", {"left": 2, "right": 3})
        return {"bytes": len(echoed.encode()), "same": echoed == long, "beyond": beyond, "sum": total}


async def values(path: str) -> Any:
    async with connected(path) as client:
        values = await client.request("values")
        return {name: await client.request("echo", {"value": value}) for name, value in values.items()}


async def surrogates(path: str) -> Any:
    async with connected(path) as client:
        sent: Optional[suite_client.EncodeError] = None
        try:
            await client.request("echo", {"value": {"a": ["\ud800"]}})
        except suite_client.EncodeError as error:
            sent = error
        events = client.events()
        texts: list[str] = []
        client.on("text", texts.append)
        await client.request("lone surrogate")
        async for event in events:
            if isinstance(event, suite_client.MessageError):
                break
        by_name = "message.value.a[0] has a lone surrogate" in str(sent) and "surrogate" in str(event)
        total = await client.request("add", {"left": 2, "right": 3})
        received = texts if texts else "refused"
        return {"sent": "refused" if sent else "sent", "received": received, "by_name": by_name, "sum": total}


async def line_separators(path: str) -> Any:
    async with connected(path) as client:
        return await client.request("echo", {"value": "a\u2028b\u2029c\x85d"})


async def integers(path: str) -> Any:
    async with connected(path) as client:
        seen = {}
        for digits in INTEGERS:
            sent = await client.request("digits", {"integer": int(digits)})
            seen[digits] = [sent, str(await client.request("integer", {"digits": digits}))]
        return seen


async def absent(path: str) -> Any:
    path += ".absent"
    client = Client(path, retry_delay=(0.01, 0.01))
    try:
        await client.connect(attempts=1)
    except suite_client.ConnectError as error:
        names_the_path = path in str(error)
    sent = await name_of(client.request("counted"))
    try:
        await client.connect(attempts=3)
    except suite_client.ConnectError as error:
        attempts = error.attempts
    return {"names_the_path": names_the_path, "request": sent, "attempts": attempts}


async def wrong_wire(path: str) -> Any:
    async with connected(f"{path}.node-0.4") as client:
        try:
            await client.request("add", {"left": 2, "right": 3}, timeout=0.2)
        except suite_client.RequestTimeout as error:
            return {"request": "timeout" if "another wire" in str(error) else str(error)}
        return {"request": "a reply"}


async def main(path: str) -> None:
    logging.getLogger("socket_ipc").setLevel(logging.CRITICAL)
    shown(peer=f"Python {platform.python_version()}")
    # It waits for a name only while no client is there.
    for line in sys.stdin:
        behaviour = line.strip()
        try:
            saw = await globals()[behaviour.replace(" ", "_")](path)
        except Exception as error:
            saw = repr(error)
        shown(behaviour=behaviour, saw=saw)


asyncio.run(main(sys.argv[1]))
