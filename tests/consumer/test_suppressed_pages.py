"""Rules through the whole of a worker that dies: what was kept back stays so, whoever goes on."""

from contextlib import suppress

import pytest

from events.instant import DAY, MINUTE
from events.suppression import Lift, suppression
from sinks.sns import is_sent
from tests.anomaly.trade import MONDAY
from tests.consumer.test_pipeline_suppressions import SHOP, START, stream
from tests.consumer.world import Crash, Crashing, World, booby_trap, run_through

TIMED = suppression(SHOP, START + 60 * MINUTE, given_at=MONDAY)
LIFTED = suppression(SHOP, START + DAY, given_at=MONDAY)
DATA = {
    "timed": stream((3, TIMED)),
    "lifted": stream((3, LIFTED), (40, Lift(LIFTED.rule_id, SHOP, MONDAY))),
    "none": stream(),
}


def through(data: list[bytes], *crashes: Crashing) -> World:
    """What comes of `data` where workers die at these calls to a service."""
    world = World(batch_records_max=40)
    for crash in crashes:
        booby_trap(world, crash)
        try:
            with suppress(Crash):
                run_through(world, data)
        finally:
            crash.disarm()
    if not world.ended:
        run_through(world, data)
    return world


@pytest.mark.parametrize("rule", ["timed", "lifted"])
def test_a_rule_survives_every_death_of_its_worker(rule: str) -> None:
    data = DATA[rule]
    counted = Crashing(0, before=True)
    uninterrupted = through(data, counted)
    kept_back = [page for page in uninterrupted.pages().values() if page.suppressed_by is not None]
    assert kept_back
    assert uninterrupted.mailbox.sent
    assert len(uninterrupted.mailbox.sent) < len(through(DATA["none"]).mailbox.sent)
    told = {key for key, page in uninterrupted.pages().items() if is_sent(page)}
    assert set(uninterrupted.mailbox.sent) == told
    # Around the burst, which is the stream's end; and again a few calls behind that.
    for ahead in (14, 9):
        deaths = (-counted.left - ahead, 9 - ahead // 2)
        crashes = [Crashing(at, before=True) for at in deaths]
        killed = through(data, *crashes)
        assert crashes[0].left <= 0
        assert killed.pages() == uninterrupted.pages()
        assert killed.mailbox.sent == uninterrupted.mailbox.sent
