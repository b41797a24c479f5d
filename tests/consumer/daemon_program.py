"""Small programs that stand in for the KCL daemon, as commands for a supervisor."""

import sys
from pathlib import Path

PRELUDE = """
import json, os, signal, socket, subprocess, sys, time
def say(*fields): print("\\t".join(fields), flush=True)
def forever():
    while True: time.sleep(0.05)
"""


def program(directory: Path, body: str) -> list[str]:
    """The command of a Python program made of `body`; `say`, `forever` and modules are there."""
    file = directory / "daemon.py"
    file.write_text(PRELUDE + body)
    return [sys.executable, "-u", str(file)]
