"""python3 peer.py client|server <socket file>

A peer of sockets and JSON from the standard library alone: one JSON object a line each way. Prints its events and
the messages that it receives, and takes commands that tell it what to send. `tests/foreign/support.rs`
documents the commands, the lines and the rules.
"""

import json
import os
import pathlib
import platform
import socket
import sys
import threading

SPEECH = json.loads((pathlib.Path(__file__).parent.parent / "speech.json").read_text(encoding="utf-8"))
printing = threading.Lock()


def report(event, **more):
    with printing:
        print(json.dumps({"event": event, **more}), flush=True)


def text(n):
    alphabet = SPEECH["alphabet"]
    return "".join(alphabet[(n * 31 + k * 17) % len(alphabet)] for k in range(n * 7 % 40))


def big(size):
    unit = "a megabyte of ☃ and é "
    length = len(unit.encode())
    return unit * (size // length) + "x" * (size % length)


def envelope(topic, message, **style):
    return (json.dumps({"topic": topic, "message": message}, **style) + "\n").encode()


# By default `json.dumps` escapes all characters beyond ASCII. Both forms are sent.
def messages(command, *numbers):
    if command == "values":
        for message in SPEECH["values"]:
            yield envelope("value", message, ensure_ascii=False)
    elif command == "delimiters":
        for message in SPEECH["delimiters"]:
            yield envelope(message["topic"], message["message"])
    elif command == "count":
        for n in range(*numbers):
            yield envelope("count", {"n": n, "text": text(n)}, ensure_ascii=n % 2 == 0)
    elif command == "big":
        yield envelope("big", {"text": big(*numbers)}, ensure_ascii=False)
    elif command == "missing":
        yield b'{"topic":"missing"}\n'
    elif command == "none":
        yield envelope("", "under no topic")
    elif command == "untopical":
        yield b'{"message":"without a topic"}\n'
    else:
        raise ValueError(command)


def receive(connection, at_end):
    with connection.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            report("received", topic=message["topic"], message=message.get("message"))
    # An end that closes waits for its peer to close, too.
    connection.shutdown(socket.SHUT_WR)
    report(at_end)


def main():
    role, path = sys.argv[1:]
    report("ready", peer=f"Python {platform.python_version()}")
    if role == "client":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        report("connect")
    else:
        # A server before this one may have left its file behind.
        pathlib.Path(path).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        report("listening")
        connection, _ = listener.accept()
        report("connection")
    at_end = "disconnect" if role == "client" else "connectionClose"
    # A daemon thread: if the commands end without `close`, the process ends.
    listening = threading.Thread(target=receive, args=(connection, at_end), daemon=True)
    listening.start()

    for line in sys.stdin:
        command, *numbers = line.split()
        if command == "close":
            # Ends its half, reads to the end of the stream, and exits.
            connection.shutdown(socket.SHUT_WR)
            listening.join()
            if role == "server":
                os.unlink(path)
            return
        for message in messages(command, *map(int, numbers)):
            connection.sendall(message)


main()
