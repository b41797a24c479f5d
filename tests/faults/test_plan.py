"""Which faults a soak injects: drawn from the seed alone, as many as asked for."""

from hypothesis import given
from hypothesis import strategies as st

from local.faults import KILLS, Fault, plan


def kinds(faults: list[Fault]) -> list[str]:
    return [fault.kind for fault in faults]


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    first = plan(7, kills=30, workers=2, outages=2)
    assert plan(7, kills=30, workers=2, outages=2) == first
    assert plan(8, kills=30, workers=2, outages=2) != first


@given(
    seed=st.integers(0, 10_000),
    kills=st.integers(1, 40),
    workers=st.integers(1, 3),
    outages=st.integers(0, 3),
)
def test_as_many_as_asked_for_and_each_outage_ends_before_the_next(
    seed: int, kills: int, workers: int, outages: int
) -> None:
    steps = plan(seed, kills=kills, workers=workers, outages=min(outages, kills), freezes=2)
    names = kinds(steps)
    assert sum(name in KILLS for name in names) == kills
    assert names.count("worker for good") == (workers > 1 and kills > 1)
    assert names.count("freeze") == (2 if workers > 1 and kills > 1 else 0)
    searching = [name for name in names if name.endswith("search")]
    assert searching == ["stop search", "start search"] * (len(searching) // 2)


@given(seed=st.integers(0, 10_000))
def test_a_worker_that_is_gone_for_good_is_not_killed_again(seed: int) -> None:
    steps = plan(seed, kills=30, workers=2, outages=2, freezes=2)
    gone_at = kinds(steps).index("worker for good")
    gone = steps[gone_at].worker
    after = [step.worker for step in steps[gone_at + 1 :] if not step.kind.endswith("search")]
    assert after
    assert "freeze" not in kinds(steps)[gone_at:]
    assert gone not in after


def test_a_long_run_kills_children_and_daemons_in_recoveries_and_in_full_flow() -> None:
    steps = plan(1, kills=30, workers=2, outages=2)
    names = kinds(steps)
    assert names.count("stop search") == 2
    assert min(names.count("child"), names.count("daemon")) >= 5
    assert {step.commits for step in steps if step.kind in KILLS} == {0, 1, 2, 3}
