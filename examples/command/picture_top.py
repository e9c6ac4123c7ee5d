#!/usr/bin/env python3
"""Draws the picture of `top` beside this file: runs it in tmux on a server with clients, and keeps its screen.

    python3 -m venv /tmp/picture && /tmp/picture/bin/pip install rich==14.0.0
    /tmp/picture/bin/python examples/command/picture_top.py

Needs tmux, and a build of the command and of the soak, whose server it looks at:

    cargo build -p socket-ipc --features cli && cargo build --example soak
"""

import io
import os
import subprocess
import tempfile
import time
from pathlib import Path

from picture import FORMAT, HERE, ROOT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
COLUMNS, ROWS = 92, 12


def main():
    with tempfile.TemporaryDirectory() as directory:
        tmux = ["tmux", "-L", f"picture-{os.getpid()}", "-f", "/dev/null"]
        soak = subprocess.Popen(
            [BUILT / "examples/soak", "--socket", "soak.sock", "--minutes", "0.15"],
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )
        try:
            size = ["-x", str(COLUMNS), "-y", str(ROWS)]
            environment = {**os.environ, "TERM": "xterm"}
            environment.pop("NO_COLOR", None)
            top = [BUILT / "socket-ipc", "top", "soak.sock", "--retry"]
            subprocess.run([*tmux, "new-session", "-d", *size, *top], cwd=directory, env=environment, check=True)
            # The soak begins in earnest after three seconds.
            time.sleep(7)
            screen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=True)
        finally:
            subprocess.run([*tmux, "kill-server"])
            soak.kill()
            soak.wait()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen.stdout.rstrip("\n")))
    console.save_svg(HERE / "top.svg", title="socket-ipc top", theme=MONOKAI, code_format=FORMAT, unique_id="top")


main()
