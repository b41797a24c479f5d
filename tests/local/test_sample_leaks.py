"""Nothing tells thieves from customers but what they do: a classifier finds nothing in the rest."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from random import Random
from statistics import mean
from typing import Any

import pytest

from events.instant import SECOND
from local.sample_incidents import KINDS
from local.samples import Sample, sample_stream

SEEDS = (9_101, 9_102, 9_103, 9_104)

Features = dict[str, float]
Example = tuple[Features, bool]


class Refund:
    """A refund as it is on the wire, and the circumstances of its arrival."""

    def __init__(self, place: int, sample: Sample, sent: int) -> None:
        self.place, self.sample, self.sent = place, sample, sent
        self.wire: dict[str, Any] = json.loads(sample.data)
        self.stolen = sample.label is not None


def refunds(seed: int, kinds: tuple[str, ...] = KINDS) -> Iterator[Refund]:
    """The stolen refunds of a stream, and as many others of the same shop beside them."""
    stream = list(sample_stream(seed, shops=16, days=24, campaigns_per_shop_week=2.0, kinds=kinds))
    sent = Counter(sample.data for sample in stream)
    seen: set[bytes] = set()
    by_shop: dict[str, list[Refund]] = defaultdict(list)
    for place, sample in enumerate(stream):
        if b'"type":"REFUND"' in sample.data and sample.data not in seen:
            seen.add(sample.data)
            try:
                by_shop[sample.shop_id].append(Refund(place, sample, sent[sample.data]))
            except ValueError:
                continue  # garbled
    rng = Random(seed)
    for found in by_shop.values():
        bad = [one for one in found if one.stolen]
        good = [one for one in found if not one.stolen]
        count = min(len(bad), len(good))
        yield from rng.sample(bad, count)
        yield from rng.sample(good, count)


def digit(features: Features, name: str, text: str | None, place: int) -> None:
    """A letter or digit of `text`, as waves of several lengths; made up where it is absent.

    Whether a field is there at all may well matter: a thief has no receipt.
    """
    value = ord(text[place]) % 10 if text else int(features["made_up"] * 10)
    for wave in (1, 2):
        features[f"{name}{wave}"] = math.cos(wave * value * math.pi / 5)
        features[f"{name}{-wave}"] = math.sin(wave * value * math.pi / 5)
    features[f"{name}_odd"] = value % 2 - 0.5


def should_not_matter(refund: Refund) -> Features:
    """Numbers given by tills, forms of writing, fractions of time and money, ways of delivery."""
    wire, sample = refund.wire, refund.sample
    line = wire["lines"][0]
    payment = wire["payment"]
    features: Features = {
        "millisecond": sample.occurred_at // 1_000 % 1_000 / 500 - 1,
        "microsecond": float(sample.occurred_at % 1_000 != 0),
        "second": sample.occurred_at // SECOND % 60 / 30 - 1,
        "delay": math.log(sample.arrives_at - sample.occurred_at) - 13.8,
        "sent_again": float(refund.sent > 1),
        "place": refund.place % 2 - 0.5,
        "place3": refund.place % 3 - 1.0,
        "keys_in_order": float(list(wire) == [key for key in ORDER if key in wire]),
        "spaces": float(b" " in sample.data),
        "decimals": float(wire["total"][-3:-2] == "."),
        "id_length": len(wire["transaction_id"]) - 11.0,
        "id_even": int(wire["transaction_id"][-1]) % 2 - 0.5,
        "register": int(wire["register_id"][1:]) - 2.0,
        "fraction": float(wire["occurred_at"].count(".") == 1),
        "made_up": Random(sample.data).random(),
    }
    for name, text, place in (
        ("id", wire["transaction_id"], -1),
        ("id_ten", wire["transaction_id"], -2),
        ("id_hundred", wire["transaction_id"], -3),
        ("receipt", wire.get("original_transaction_id"), -1),
        ("register", wire["register_id"], -1),
        ("cashier", wire["cashier_id"], -1),
        ("card", payment.get("card_token"), 2),
        ("card_last", payment.get("card_token"), -1),
        ("customer", wire.get("customer_id"), -1),
        ("item", line["item_id"], -1),
        ("price_penny", line["unit_price"], -1),
        ("price_dime", line["unit_price"], -2),
        ("penny", wire["total"], -1),
        ("dime", wire["total"], -2),
        ("millisecond_last", str(sample.occurred_at // 1_000), -1),
    ):
        digit(features, name, text, place)
    return features


ORDER = (
    "schema",
    "transaction_id",
    "shop_id",
    "type",
    "occurred_at",
    "currency",
    "total",
    "payment",
    "lines",
    "register_id",
    "cashier_id",
    "customer_id",
    "original_transaction_id",
    "reason",
    "approval_limit",
)


def area_under_curve(judged: list[tuple[float, bool]]) -> float:
    """The chance that a stolen refund is ranked above another; ties count half (Mann-Whitney U)."""
    ranked = sorted(judged)
    ranks: dict[float, list[int]] = defaultdict(list)
    for rank, (value, _) in enumerate(ranked, 1):
        ranks[value].append(rank)
    stolen = [value for value, is_stolen in judged if is_stolen]
    over = sum(mean(ranks[value]) for value in stolen) - len(stolen) * (len(stolen) + 1) / 2
    return over / (len(stolen) * (len(judged) - len(stolen)))


def logistic() -> Any:
    from river import linear_model, optim

    return linear_model.LogisticRegression(optim.SGD(0.01), l2=0.01)


def forest() -> Any:
    from river import forest

    return forest.ARFClassifier(n_models=5, seed=1, grace_period=40, max_depth=6)


def found_by(make: Callable[[], Any], streams: list[list[Example]]) -> float:
    """The area under the curve on each stream for what was learnt on the others, on average."""
    areas = []
    for held_out in range(len(streams)):
        model = make()
        examples = [one for n, stream in enumerate(streams) if n != held_out for one in stream]
        Random(held_out).shuffle(examples)
        for features, stolen in examples:
            model.learn_one(features, stolen)
        judged = [
            (model.predict_proba_one(features).get(True, 0.5), stolen)
            for features, stolen in streams[held_out]
        ]
        areas.append(area_under_curve(judged))
    return mean(areas)


@pytest.fixture(scope="module")
def streams() -> list[list[Refund]]:
    return [list(refunds(seed)) for seed in SEEDS]


@pytest.mark.parametrize("make", [logistic, forest])
def test_what_should_not_matter_does_not(
    streams: list[list[Refund]], make: Callable[[], Any]
) -> None:
    examples = [[(should_not_matter(one), one.stolen) for one in stream] for stream in streams]
    assert all(len(stream) > 400 for stream in examples)
    assert 0.46 < found_by(make, examples) < 0.54


@pytest.mark.parametrize("make", [logistic, forest])
def test_nor_do_thieves_with_receipts_that_do_not_fit_tell_themselves(
    make: Callable[[], Any],
) -> None:
    streams = [list(refunds(seed, ("above_sale", "late_return"))) for seed in SEEDS[:2]]
    examples = [[(should_not_matter(one), one.stolen) for one in stream] for stream in streams]
    assert all(len(stream) > 250 for stream in examples)
    assert 0.45 < found_by(make, examples) < 0.55


LEAKS: dict[str, Callable[[Features], None]] = {
    "thieves at whole seconds": lambda features: features.update(millisecond=-1.0),
    "odd numbers for thieves": lambda features: features.update(id_even=0.5),
    "pennies of their own": lambda features: features.update(penny1=0.3),
    "another order of keys": lambda features: features.update(keys_in_order=0.0),
}


@pytest.mark.parametrize("make", [logistic, forest])
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_the_classifier_would_find_a_leak_of_half_the_thieves(
    streams: list[list[Refund]], make: Callable[[], Any], leak: Callable[[Features], None]
) -> None:
    examples = [[(should_not_matter(one), one.stolen) for one in stream] for stream in streams]
    for stream in examples:
        for number, (features, stolen) in enumerate(stream):
            if stolen and number % 2:
                leak(features)
    assert found_by(make, examples) > 0.56


def test_the_area_is_that_of_the_book() -> None:
    assert area_under_curve([(0.1, False), (0.9, True)]) == 1.0
    assert area_under_curve([(0.9, False), (0.1, True)]) == 0.0
    assert area_under_curve([(0.5, False), (0.5, True), (0.5, True)]) == 0.5
    assert area_under_curve([(1, False), (2, True), (3, False), (4, True)]) == 0.75
