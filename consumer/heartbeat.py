"""When a child that lives is taken for hung: the rules, over what it last told of itself.

A child beats once a second whatever its main thread does, so silence means that the process is
stopped. The main thread beats for itself: not while it listens to the daemon, which takes as long
as the stream is silent, nor while it reads its snapshot, which takes as long as the store needs.
Those, and a commit, have the longer bound: every call in them has a deadline of its own, and each
answer and each new try counts as progress, so a service that is down does not end a child. One that
stands still on purpose (consumer/halt.py) has only to go on saying so.
"""

from typing import Literal

import msgspec

from consumer.telemetry import HALTED, LISTENING, RESTORING, STARTING, Report

Cause = Literal["died", "silent", "hung", "stalled", "daemon_silent"]


class Bounds(msgspec.Struct, frozen=True):
    """How long what may last, in seconds: the settings of the same names."""

    heartbeat_seconds_max: float
    stalled_seconds_max: float


def judge(report: Report, since: float, bounds: Bounds) -> tuple[Cause, str] | None:
    """Why the child must be replaced, in a word and in words for the log; None: it need not.

    Args:
        report: its last one.
        since: seconds since it came.
        bounds: how long what may last.
    """
    beat, progress = report.beat_age + since, report.progress_age + since
    verdict: tuple[Cause, str] | None = None
    if since > bounds.heartbeat_seconds_max:
        verdict = "silent", f"has said nothing for {since:.0f} s"
    elif report.doing == HALTED:
        pass
    elif report.commit_age is not None and progress > bounds.stalled_seconds_max:
        verdict = "stalled", f"is in a commit that has not gone forward for {progress:.0f} s"
    elif report.doing == LISTENING:
        if beat > bounds.stalled_seconds_max:
            verdict = "daemon_silent", f"has heard nothing from the daemon for {beat:.0f} s"
    elif report.doing in {STARTING, RESTORING}:
        if min(beat, progress) > bounds.stalled_seconds_max:
            verdict = "stalled", f"has been {report.doing} for {beat:.0f} s"
    elif beat > bounds.heartbeat_seconds_max:
        verdict = "hung", f"has been at {report.doing!r} for {beat:.0f} s without a beat"
    return verdict
