"""Ctrl-C and SIGTERM: the first asks for a good end, the second for an end."""

import os
import signal
import sys
from types import FrameType

from local.part import kill_all

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130
"""What a shell says of a program that Ctrl-C ended."""


class Ending:
    """Turns the first signal into KeyboardInterrupt; the second kills every part at once."""

    def __init__(self) -> None:
        self.asked = False

    def watch(self) -> None:
        """Take both signals over; from the main thread."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def begin(self) -> None:
        """Everything is ending from here on, asked or not: the next signal is a second one."""
        self.asked = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            kill_all()
            sys.stderr.write("killed\n")
            os._exit(_INTERRUPTED)
        self.asked = True
        raise KeyboardInterrupt
