#!/usr/bin/env python3
"""Draws the picture beside this file: runs the command on a terminal, and keeps its output.

    python3 -m venv /tmp/picture && /tmp/picture/bin/pip install rich==14.0.0
    /tmp/picture/bin/python examples/command/picture.py

Needs a build of the command and of the server that it connects to:

    cargo build -p socket-ipc --features cli && cargo build --example hello_server
"""

import fcntl
import io
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
COLUMNS = 92

# The commands, which run one after the other in a directory of their own.
TYPED = [
    "socket-ipc status hello.sock",
    "socket-ipc topics hello.sock",
    "socket-ipc send hello.sock hello '{\"name\":\"shell\"}' --wait greeting",
    "socket-ipc request hello.sock add '[2,3]'",
    "socket-ipc send hello.sock hello '{\"name\":}'",
]

# The format of rich without the addresses of fonts: the picture must not load anything.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def on_a_terminal(command, directory):
    """Runs a command on a terminal, and returns its output."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.environ["PATH"] = f"{BUILT}:{os.environ['PATH']}"
        os.environ.pop("NO_COLOR", None)
        os.execvp(shlex.split(command)[0], shlex.split(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    output = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the end of a terminal
            break
        if not piece:
            break
        output += piece
    os.close(terminal)
    os.waitpid(child, 0)
    return output.decode().replace("\r\n", "\n")


def main():
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            [BUILT / "examples/hello_server", "hello.sock"], cwd=directory, stdout=subprocess.DEVNULL
        )
        try:
            while not (Path(directory) / "hello.sock").exists():
                time.sleep(0.01)
            console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
            for command in TYPED:
                console.print(Text.assemble(("$ ", "bold green"), command))
                output = re.sub(r"\x1b\[[0-9;]*[A-LN-Za-ln-z]", "", on_a_terminal(command, directory))
                console.print(Text.from_ansi(output.rstrip("\n")))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    console.save_svg(HERE / "picture.svg", title="socket-ipc", theme=MONOKAI, code_format=FORMAT, unique_id="picture")


if __name__ == "__main__":
    main()
