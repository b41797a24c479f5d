"""The walk down the trees in C is the walk in Python, with all it leaves behind."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly import forest
from anomaly.forest import FEATURES, HEIGHT, WINDOW, Forest

twin = pytest.importorskip("anomaly._forest", reason="not compiled here: Python does it all")

refunds = st.fixed_dictionaries(
    {},
    optional={name: st.floats(-1.0, 2.0) | st.sampled_from([0.0, 0.5, 1.0]) for name in FEATURES},
)


@settings(max_examples=30, deadline=None)
@given(st.lists(refunds, min_size=1, max_size=60))
def test_both_walks_score_and_learn_alike(shown: list[dict[str, float]]) -> None:
    turns = shown * (2 * WINDOW // len(shown) + 1)  # over two windows, or weights stay nought
    scored, states = [], []
    for native in (None, twin):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(forest, "_native", native)
            one = Forest(seed=5)
            scored.append([one.score_then_learn(x) for x in turns])
            states.append(one.dump())
    assert scored[0] == scored[1]
    assert states[0] == states[1]
    assert max(states[0].scores) > 0


def test_what_is_no_forest_is_an_error_and_no_crash() -> None:
    nodes = (2 << HEIGHT) - 1
    of = ([0.5], [0] * nodes, [0.5] * nodes, [0] * nodes, [0] * nodes)
    assert twin.way(*of, HEIGHT) == 0
    for wrong in (
        (*of[:4], [0], HEIGHT),
        (*of, 0),
        (*of, 60),
        ([0.5] * 65, *of[1:], HEIGHT),
        ([0.5], [1] * nodes, *of[2:], HEIGHT),
        ([0.5], [-1] * nodes, *of[2:], HEIGHT),
        (*of[:4], [-5] * nodes, HEIGHT),
    ):
        with pytest.raises((ValueError, IndexError)):
            twin.way(*wrong)
    for wrong in (
        (["x"], *of[1:], HEIGHT),
        ([0.5], [None] * nodes, *of[2:], HEIGHT),
        ([0.5], [0] * nodes, [None] * nodes, *of[3:], HEIGHT),
        (*of[:3], [None] * nodes, of[4], HEIGHT),
        (*of[:4], [None] * nodes, HEIGHT),
        (tuple(of[0]), *of[1:], HEIGHT),
    ):
        with pytest.raises(TypeError):
            twin.way(*wrong)
    with pytest.raises(OverflowError):
        twin.way(*of[:3], [2**70] * nodes, of[4], HEIGHT)


def test_walks_leave_no_references_behind() -> None:
    one = Forest(seed=5)
    large = [10_000 + place for place in range(len(one._nodes))]  # no integer that Python shares
    one._learnt = list(large)
    held, blocks = sys.getrefcount(large[0]), sys.getallocatedblocks()
    for _ in range(2_000):
        values = [0.1, None, 0.9, 0.5, None, 0.2, 0.3]
        twin.way(values, one._features, one._thresholds, one._learnt, one._weights, HEIGHT)
    more, left = sys.getallocatedblocks() - blocks, sys.getrefcount(large[0])
    assert one._learnt[0] == 12_000
    assert left == held - 1  # the forest's own list holds the next number
    assert more < 1_000
