"""The programs that a demo runs beside the servers: a worker, and the console."""

import sysconfig
from collections.abc import Mapping
from pathlib import Path

from local.part import Part
from local.stack import Stack

WORKER_STOP_SECONDS_MAX = 75.0
"""What TILLWATCH_SHUTDOWN_SECONDS_MAX gives the last checkpoints, and some more."""
CONSOLE_STOP_SECONDS_MAX = 5.0

_CONSOLE_START_SECONDS_MAX = 60.0


def start_worker(stack: Stack, settings: Mapping[str, str] | None = None) -> Part:
    """Start `tillwatch run` for the stack; `settings` are variables over the stack's own.

    It has a raw archive, under a key of the state folder's. Its log, JSON lines, is worker.log in
    that folder; a second worker appends to it.
    """
    archive = {"TILLWATCH_ARCHIVE_KEY": stack.folder.archive_key()}
    environment = stack.environment() | archive | dict(settings or {})
    return Part("the worker", [_program(), "run"], environment, stack.folder.path / "worker.log")


def start_console(stack: Stack) -> tuple[Part, str]:
    """Start `tillwatch console`; returns it and the page's address, where it answers already.

    Raises:
        PartError: it did not come up.
    """
    log = stack.folder.path / "console.log"
    command = [_program(), "console", "--host", "127.0.0.1", "--port", "0"]
    part = Part("the console", command, stack.environment(), log)
    part.wait_for(lambda: _address(log) is not None, _CONSOLE_START_SECONDS_MAX)
    return part, _address(log) or ""


def _program() -> str:
    return str(Path(sysconfig.get_path("scripts"), "tillwatch"))


def _address(log: Path) -> str | None:
    lines = log.read_text(errors="replace").splitlines(keepends=True)
    found = (line for line in lines if line.startswith("http://") and line.endswith("\n"))
    return next(found, "").strip() or None
