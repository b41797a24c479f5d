"""Starts a program that ends with its parent: `python -m consumer.tether PARENT_PID PROGRAM ARGS…`.

Linux tells a process of its parent's death if asked to (prctl, PR_SET_PDEATHSIG). So a
supervisor that is killed with -9 leaves no daemon behind, and a demo no server. Elsewhere the
program is simply started. The tether holds for the thread that started it: use the main one.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the program; the process id stays the same."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it died before we asked
            raise SystemExit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 -- no shell wanted
    except OSError as error:
        raise SystemExit(f"{command[0]} cannot be started: {error.strerror}") from None


if __name__ == "__main__":
    main()
