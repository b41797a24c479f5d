import subprocess
import sys
from random import Random
from typing import Any

import pytest

from anomaly import forest
from anomaly.forest import FEATURES, HEIGHT, PROBES, TREES, WINDOW, Forest


def _refunds(seed: int, count: int) -> list[dict[str, float]]:
    rng = Random(seed)
    return [{name: rng.betavariate(2, 5) for name in FEATURES} for _ in range(count)]


def _river_s_own() -> Any:
    """River's class, grown and taught by hand."""
    from river.anomaly import HalfSpaceTrees

    theirs = HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=17)
    theirs.learn_one(PROBES[0])
    for tree in theirs.trees:
        for node in tree.iter_dfs():
            node.l_mass = 0
    theirs.counter = 0
    return theirs


def _masses(trees: Any) -> list[tuple[int, int]]:
    return [(node.l_mass, node.r_mass) for tree in trees.trees for node in tree.iter_dfs()]


def test_it_is_river_s_own_model() -> None:
    """What is kept and restored is river's."""
    theirs, ours = _river_s_own(), Forest(seed=17)
    assert type(ours._trees) is type(theirs)
    for x in _refunds(1, 3 * WINDOW):
        theirs.learn_one(x)
        ours.learn_one(x)
    assert [ours.raw(x) for x in _refunds(2, 50)] == [theirs.score_one(x) for x in _refunds(2, 50)]


@pytest.mark.parametrize("seed", range(4))
def test_one_walk_scores_and_learns_as_river_s_two(seed: int) -> None:
    """At every refund, whatever features it lacks, through turns of the window and a restart."""
    rng = Random(seed)
    theirs, ours = _river_s_own(), Forest(seed=17)
    for number, full in enumerate(_refunds(seed, 3 * WINDOW + 40)):
        lacking = rng.random() * rng.choice((0.0, 1.0))
        x = {name: value**2 for name, value in full.items() if rng.random() >= lacking}
        assert ours._walk(x) == theirs.score_one(x)
        theirs.learn_one(x)
        ours._show()
        assert (ours._trees.counter, _masses(ours._trees)) == (theirs.counter, _masses(theirs))
        if number == WINDOW + 99:
            kept, ours = ours.dump(), Forest(seed=17)
            ours.load(kept)


def test_what_is_unlike_all_else_says_so_and_what_is_like_it_does_not() -> None:
    model = Forest()
    for x in _refunds(1, 2_000):
        model.learn_one(x)
    odd = dict.fromkeys(FEATURES, 0.99)
    assert model.score_one(odd) == pytest.approx(forest.NATS_MAX)
    usual = [model.score_one(x) for x in _refunds(3, 200)]
    assert sum(usual) / len(usual) < 0.7


def test_its_memory_of_scores_fades() -> None:
    model = Forest()
    model.scores[20] = 1_000
    model.scores[0] = forest.SCORES_MAX - 1_001
    model.learn_one(PROBES[1])
    assert sum(model.scores) == forest.SCORES_MAX // 2


def test_masses_are_the_same_bytes_on_a_machine_of_the_other_byte_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Forest()
    for x in _refunds(1, WINDOW + 40):
        model.learn_one(x)
    kept = model.dump()
    monkeypatch.setattr(forest, "byteorder", "big" if sys.byteorder == "little" else "little")
    swapped = model.dump()
    assert swapped.masses != kept.masses
    restored = Forest()
    restored.load(swapped)
    assert restored.raw(PROBES[2]) == model.raw(PROBES[2])


_SAME = "assert river.anomaly.HalfSpaceTrees is anomaly.forest.HalfSpaceTrees"

_OURS_FIRST = f"""
import sys
import anomaly.forest
LEFT_OUT = "scipy pandas narwhals numpy river.compose river.anomaly river.tree river.utils"
for name in LEFT_OUT.split():
    assert name not in sys.modules, name
trees = anomaly.forest.HalfSpaceTrees(n_trees=1, height=2, seed=1)
trees.learn_one({{"x": 0.5}})
assert len(trees.trees[0].to_dataframe()) == 7
import river.anomaly, river.tree, river.utils
assert river.tree.base.utils.pandas is river.utils.pandas
assert river.tree.HoeffdingTreeClassifier
{_SAME}
"""

_RIVER_FIRST = f"import river.anomaly, river.tree\nimport anomaly.forest\n{_SAME}"


@pytest.mark.parametrize("program", [_OURS_FIRST, _RIVER_FIRST], ids=["ours first", "river first"])
def test_river_s_trees_come_without_the_rest_of_river_and_do_not_harm_it(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
