"""Whether the process that started this one is still there.

A child that waits for a service reads nothing from its daemon, so it does not see that the daemon's
end of the pipe closed. The system gives a child whose parent died another parent.
"""

import os


class Parent:
    """The parent of this process when this was made: make it first thing."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    @property
    def gone(self) -> bool:
        """Whether it has died since. One system call; meant for a waiting loop."""
        return os.getppid() != self._pid
