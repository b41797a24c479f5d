"""A part: started, waited for, ended for certain."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.part import Part, PartError

_STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
_IMPATIENT = """
import sys, time
from pathlib import Path
from local.ending import Ending
from local.part import Part
ending = Ending()
ending.watch()
part = Part("stubborn", [sys.executable, "-c", sys.argv[2]], {}, Path(sys.argv[1]))
part.wait_for(lambda: "up" in part.log_tail(), 30)
try:
    print(part.pid, flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("ending", flush=True)
    part.stop(600)
"""


def part_of(tmp_path: Path, program: str) -> Part:
    return Part("it", [sys.executable, "-c", program], dict(os.environ), tmp_path / "log")


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_it_ends_when_asked(tmp_path: Path) -> None:
    part = part_of(tmp_path, "import time; print('up', flush=True); time.sleep(600)")
    part.wait_for(lambda: "up" in part.log_tail(), 30.0)
    assert part.stop(30.0) == -signal.SIGTERM
    assert gone(part.pid)
    assert part.stop(30.0) == -signal.SIGTERM


def test_it_is_killed_when_it_does_not_end(tmp_path: Path) -> None:
    part = part_of(tmp_path, _STUBBORN)
    part.wait_for(lambda: "up" in part.log_tail(), 30.0)
    assert part.stop(0.2) == -signal.SIGKILL


def test_one_that_ends_before_it_is_up_shows_its_log(tmp_path: Path) -> None:
    part = part_of(tmp_path, "import sys; sys.exit('no such table')")
    with pytest.raises(PartError, match=r"it ended with 1:\nno such table"):
        part.wait_for(lambda: False, 30.0)


def test_one_that_does_not_come_up_is_ended(tmp_path: Path) -> None:
    part = part_of(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(PartError, match="was not up after 0 s"):
        part.wait_for(lambda: False, 0.3)
    assert gone(part.pid)


def test_second_signal_kills_what_does_not_end(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _IMPATIENT, str(tmp_path / "log"), _STUBBORN],
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.send_signal(signal.SIGINT)
        assert program.stdout.readline() == "ending\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 130
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
