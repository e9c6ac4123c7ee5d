"""A client of a server that speaks a wire of the Node library, which names the behaviour.

``node_client.py`` beside it is generated for that wire.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys

import node_client


async def main(path: str) -> None:
    print(json.dumps({"peer": f"Python {platform.python_version()} on a wire of the Node library"}), flush=True)
    wire = sys.stdin.readline().strip()
    client = node_client.Client(f"{path}.{wire}")
    await client.connect(timeout=10)
    # What ends a message on one of these wires may stand in one.
    text = '100%EOM% %<EOM>%\n \0\0 {"topic":"x"} \u2028'
    news: asyncio.Queue[str] = asyncio.Queue()
    client.on("news", lambda it: news.put(it["text"]))
    await client.request("announce", {"text": text})
    total = await client.request("add", {"left": 2, "right": 3})
    stream = "a stream"
    try:
        client.stream("numbers", {"key": "", "count": 1})
    except node_client.NoStreams:
        stream = "no_streams"
    saw = {"news": await news.get() == text, "sum": total, "stream": stream, "typed": hasattr(node_client, "typed")}
    print(json.dumps({"behaviour": wire, "saw": saw}), flush=True)
    await client.close()


asyncio.run(main(sys.argv[1]))
