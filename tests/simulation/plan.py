"""What a seed stands for."""

import random

import msgspec

from consumer.settings import Settings
from tests.simulation.shared import Odds


class Plan(msgspec.Struct):
    """What a seed stands for."""

    seed: int
    records: int
    shops: int
    key_groups: int
    workers: int
    shards: int
    reshards: int
    inside: bool
    batch: int
    odds: Odds
    seconds: float
    late: float
    """How likely a child begins long after its lease was taken."""
    parquet: bool = False


def plan(seed: int, *, parquet: bool = False) -> Plan:
    """The plan of `seed`."""
    rng = random.Random(seed)
    trouble = rng.choice((0.3, 1.0, 2.5))

    def odds(most: float) -> float:
        return rng.choice((0.0, most / 4, most)) * trouble

    return Plan(
        seed=seed,
        records=rng.randrange(30, 110),
        shops=rng.choice((3, 6, 8, 16, 30)),
        key_groups=rng.choice((2, 3, 4)),
        workers=rng.choice((1, 2, 2, 3)),
        shards=rng.choice((1, 1, 2)),
        reshards=rng.choice((0, 1, 1, 2, 3)),
        inside=rng.random() < 0.2,
        batch=rng.choice((4, 8, 15, 25)),
        odds=Odds(
            fail_before=odds(0.05),
            fail_after=odds(0.03),
            stall=odds(0.01),
            crash=odds(0.006),
            crash_daemon=odds(0.003),
            freeze=odds(0.003),
        ),
        seconds=rng.choice((30.0, 120.0, 300.0)),
        late=rng.choice((0.02, 0.05, 0.3)),
        parquet=parquet,
    )


def settings_of(made: Plan) -> Settings:
    """A worker's settings for the plan."""
    return Settings(
        stream="stream",
        opensearch_url="http://127.0.0.1:1",
        bucket="bucket",
        topic_arn="topic",
        dead_letter_queue_url="queue",
        pseudonym_key="a key for simulations only",
        key_groups=made.key_groups,
        batch_records_max=made.batch,
        batch_seconds_max=2.0,
        lateness_seconds=900.0,
        hours_close_idle_seconds=45.0,
        rejected_share_max=1.0,
        pages_per_shop_week=100_000.0,  # so that a small stream has pages
    )
