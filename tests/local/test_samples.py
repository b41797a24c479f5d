"""The sample stream: its laws, and that it looks like a chain of shops."""

import gzip
import json
from collections import Counter
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from random import Random
from statistics import mean, median

import pytest
from click.testing import CliRunner

from events.instant import DAY, HOUR, MINUTE, SECOND, Instant
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from local import sample_incidents, sample_occasions
from local.sample_receipts import OLD_DAYS
from local.sample_wire import garble
from local.samples import START, Sample, sample_stream, samples

DAYS = 28

Parsed = list[tuple[Sample, Transaction]]


@pytest.fixture(scope="module")
def stream() -> list[Sample]:
    return list(sample_stream(7, days=DAYS))


@pytest.fixture(scope="module")
def parsed(stream: list[Sample]) -> list[Transaction | None]:
    parser = Parser(Pseudonymizer(b"sixteen bytes ok"))
    found = (
        parser.parse(Record(Position("s", str(place)), sample.data, sample.shop_id, None))
        for place, sample in enumerate(stream)
    )
    return [one if isinstance(one, Transaction) else None for one in found]


@pytest.fixture(scope="module")
def valid(stream: list[Sample], parsed: list[Transaction | None]) -> Parsed:
    return [(s, t) for s, t in zip(stream, parsed, strict=True) if t is not None]


@pytest.fixture(scope="module")
def stolen(valid: Parsed) -> dict[str, Parsed]:
    """What each campaign took, by its label."""
    found: dict[str, Parsed] = {}
    for sample, transaction in valid:
        if sample.label is not None:
            found.setdefault(sample.label, []).append((sample, transaction))
    return found


def of_kind(stolen: dict[str, Parsed], kind: str) -> list[Parsed]:
    return [taken for label, taken in stolen.items() if label.endswith(f":{kind}")]


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    arguments = {"shops": 4, "days": 5}
    first = list(sample_stream(1, **arguments))  # type: ignore[arg-type]  # keywords of one type
    assert first == list(sample_stream(1, **arguments))  # type: ignore[arg-type]  # likewise
    assert first != list(sample_stream(2, **arguments))  # type: ignore[arg-type]  # likewise


def test_samples_come_in_order_of_arrival_and_never_before_they_occur(stream: list[Sample]) -> None:
    arrivals = [sample.arrives_at for sample in stream]
    assert arrivals == sorted(arrivals)
    assert all(sample.arrives_at >= sample.occurred_at for sample in stream)
    assert START <= arrivals[0] < START + DAY
    assert START + (DAYS - 1) * DAY < arrivals[-1] < START + (DAYS + 1) * DAY


def test_the_start_is_a_day(stream: list[Sample]) -> None:
    noon = START + 7 * DAY + 12 * HOUR
    later = next(iter(sample_stream(7, shops=2, days=1, start=noon)))
    assert START + 7 * DAY <= later.occurred_at < START + 8 * DAY
    assert min(sample.occurred_at for sample in stream) >= START


def test_labels_are_on_refunds_alone(stolen: dict[str, Parsed]) -> None:
    assert all(t.is_refund for taken in stolen.values() for _, t in taken)
    assert all(len({sample.shop_id for sample, _ in taken}) == 1 for taken in stolen.values())
    assert all(s.occurred_at >= START + 14 * DAY for taken in stolen.values() for s, _ in taken)


def test_records_say_what_samples_say(valid: Parsed) -> None:
    for sample, transaction in valid:
        assert (transaction.transaction_id, transaction.shop_id, transaction.occurred_at) == (
            sample.transaction_id,
            sample.shop_id,
            sample.occurred_at,
        )


def test_a_thousandth_is_no_transaction(
    stream: list[Sample], parsed: list[Transaction | None]
) -> None:
    garbled = [s for s, t in zip(stream, parsed, strict=True) if t is None]
    assert 0.0006 < len(garbled) / len(stream) < 0.0015
    assert all(sample.label is None for sample in garbled)
    assert not any(b"\n" in sample.data or not sample.data for sample in stream)


def test_records_are_of_usual_size(stream: list[Sample]) -> None:
    assert 300 < mean(len(sample.data) for sample in stream) < 430


def test_shops_differ_in_volume_hours_and_customs(valid: Parsed) -> None:
    sales = [t for _, t in valid if t.type == "SALE"]
    per_shop = Counter(t.shop_id for t in sales)
    assert len(per_shop) == 40
    assert max(per_shop.values()) > 8 * min(per_shop.values())
    assert min(per_shop.values()) > 20 * DAYS * 0.4
    assert max(per_shop.values()) < 700 * DAYS * 1.5
    by_hour = {shop: Counter[int]() for shop in per_shop}
    for t in sales:
        by_hour[t.shop_id][(t.occurred_at + t.utc_offset_minutes * MINUTE) % DAY // HOUR] += 1
    assert all(sum(hours[h] for h in range(6)) == 0 for hours in by_hour.values())
    assert len({hours.most_common(1)[0][0] for hours in by_hour.values()}) > 3
    by_weekday = Counter((t.occurred_at // DAY + 3) % 7 for t in sales)
    assert by_weekday[5] > 1.15 * by_weekday[0]
    assert {t.currency for t in sales} == {"GBP", "EUR"}


def test_about_one_sale_in_twenty_five_comes_back_and_mostly_with_its_receipt(
    valid: Parsed,
) -> None:
    benign = [(s, t) for s, t in valid if s.label is None]
    sold = {t.transaction_id: t for _, t in benign if t.type == "SALE"}
    refunds = {t.transaction_id: t for _, t in benign if t.is_refund}.values()
    assert 0.025 < len(refunds) / len(sold) < 0.06
    with_receipt = [t for t in refunds if t.original_transaction_id]
    assert 0.8 < len(with_receipt) / len(refunds) < 0.95
    later_half = [t for t in with_receipt if t.occurred_at > START + 20 * DAY]
    known = [t for t in later_half if t.original_transaction_id in sold]
    assert len(known) > 0.8 * len(later_half)
    for t in known:
        sale = sold[t.original_transaction_id or ""]
        assert sale.shop_id == t.shop_id
        assert sale.occurred_at < t.occurred_at
        assert t.total <= sale.total


def test_totals_are_the_sum_of_the_lines(valid: Parsed) -> None:
    for _, t in valid:
        exact = sum((x.quantity_thousandths or 0) * (x.unit_price_e4 or 0) for x in t.lines)
        assert exact == t.total * 100_000


def test_every_kind_of_thief_is_there_and_does_what_its_name_says(
    stolen: dict[str, Parsed], valid: Parsed
) -> None:
    usual = {
        shop: [t.total for s, t in valid if s.shop_id == shop and t.is_refund and not s.label]
        for shop in {t.shop_id for _, t in valid}
    }
    assert {label.split(":")[1] for label in stolen} == set(sample_incidents.KINDS)
    for taken in of_kind(stolen, "burst"):
        assert len({t.transaction_id for _, t in taken}) >= 6
        assert span(taken) <= 2 * HOUR
    for taken in of_kind(stolen, "cashier_drip"):
        assert len({t.cashier_id for _, t in taken}) == 1
    for taken in of_kind(stolen, "huge_refund"):
        totals = sorted(usual[taken[0][1].shop_id])
        assert taken[0][1].total > 3 * totals[len(totals) * 3 // 4]
        assert taken[0][1].total > 8 * median(totals)
    for taken in of_kind(stolen, "same_card"):
        assert len({t.card_token for _, t in taken}) == 1
        assert len(taken) >= 4
    for taken in of_kind(stolen, "after_closing"):
        assert len(taken) >= 3
        assert len({t.cashier_id for _, t in taken}) <= 3
    for taken in of_kind(stolen, "under_limit"):
        assert all(0.85 < t.total / (t.approval_limit or 1) < 1 for _, t in taken)
    for taken in of_kind(stolen, "creeping_rate"):
        assert span(taken) > DAY
        assert len({t.cashier_id for _, t in taken}) > 1


def span(taken: Parsed) -> Instant:
    times = [t.occurred_at for _, t in taken]
    return max(times) - min(times)


def test_thieves_pay_out_in_cash_and_on_cards_over_receipts_and_none(
    stolen: dict[str, Parsed],
) -> None:
    refunds = [t for taken in stolen.values() for _, t in taken]
    assert {t.payment_method for t in refunds} <= {"CARD", "CASH", "GIFT_CARD"}
    assert {t.payment_method for t in refunds} >= {"CARD", "CASH"}
    with_receipt = sum(t.original_transaction_id is not None for t in refunds)
    assert 0.1 < with_receipt / len(refunds) < 0.8


def test_tills_deliver_late_and_twice(stream: list[Sample], valid: Parsed) -> None:
    late = [s for s in stream if s.arrives_at - s.occurred_at > HOUR]
    assert 0.0005 < len(late) / len(stream) < 0.05
    times = Counter(t.transaction_id for _, t in valid)
    repeated = sum(count - 1 for count in times.values())
    assert 0.001 < repeated / len(stream) < 0.006
    data = {s.transaction_id: s.data for s in stream}
    assert all(data[s.transaction_id] == s.data for s in stream)


def test_numbers_tell_nothing_but_the_shops_order(valid: Parsed) -> None:
    latest: dict[str, tuple[int, str]] = {}
    for sample, _ in sorted(valid, key=lambda pair: (pair[0].occurred_at, pair[0].transaction_id)):
        before = latest.get(sample.shop_id, (0, ""))
        assert before <= (sample.occurred_at, sample.transaction_id)
        latest[sample.shop_id] = (sample.occurred_at, sample.transaction_id)


def test_fields_are_formatted_alike_for_thieves_and_customers(valid: Parsed) -> None:
    shapes: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
    millis: dict[bool, list[int]] = {True: [], False: []}
    for sample, transaction in valid:
        if transaction.is_refund:
            thief = sample.label is not None
            shapes[thief].add(tuple(json.loads(sample.data)))
            millis[thief].append(sample.occurred_at % SECOND // 1_000)
    assert shapes[True] <= shapes[False]
    assert all(abs(mean(found) - 499.5) < 60 for found in millis.values())


def test_without_campaigns_nobody_steals() -> None:
    quiet = sample_stream(3, shops=5, days=20, campaigns_per_shop_week=0)
    assert all(sample.label is None for sample in quiet)


def _taken(**changes: object) -> dict[str, int]:
    """Refunds of each campaign of a short stream."""
    found = sample_stream(5, shops=4, days=21, campaigns_per_shop_week=2.0, **changes)  # type: ignore[arg-type]
    return Counter({one.transaction_id: one.label for one in found if one.label}.values())


def test_intensity_says_how_much_thieves_take_not_who_they_are() -> None:
    usual, strong = _taken(), _taken(intensity=2.0)
    assert set(usual) == set(strong)
    assert 1.6 < sum(strong.values()) / sum(usual.values()) < 2.4


def test_kinds_that_are_asked_for_are_there_and_no_others() -> None:
    kinds = ("same_receipt", "same_customer")
    stream = [one for one in sample_stream(5, shops=4, days=21, kinds=kinds) if one.label]
    assert {one.label.split(":")[1] for one in stream if one.label} == set(kinds)
    by_label: dict[str, list[dict[str, str]]] = {}
    for one in stream:
        by_label.setdefault(one.label or "", []).append(json.loads(one.data))
    for label, wires in by_label.items():
        field = "original_transaction_id" if "receipt" in label else "customer_id"
        assert Counter(wire.get(field) for wire in wires).most_common(1)[0][1] >= 0.9 * len(wires)


def _misfits(
    kinds: tuple[str, ...], more_occasions: tuple[str, ...] = (), rate: float = 1.0
) -> tuple[dict[str, Parsed], list[tuple[float, float]]]:
    """What each campaign took, and of the customers' refunds the money and the age in days.

    Money is in multiples of what the sale brought.
    """
    parser = Parser(Pseudonymizer(b"sixteen bytes ok"))
    drawn = sample_stream(
        11,
        shops=4,
        days=56,
        campaigns_per_shop_week=rate,
        occasions_often=3.0,
        kinds=kinds,
        more_occasions=more_occasions,
    )
    sold: dict[str, Transaction] = {}
    taken: dict[str, Parsed] = {}
    customers = []
    for place, sample in enumerate(drawn):
        one = parser.parse(Record(Position("s", str(place)), sample.data, sample.shop_id, None))
        if not isinstance(one, Transaction):
            continue
        sold[one.transaction_id] = one
        sale = sold.get(one.original_transaction_id or "")
        if sample.label is not None:
            taken.setdefault(sample.label, []).append((sample, one))
        elif one.is_refund and sale is not None:
            age = (one.occurred_at - sale.occurred_at) / DAY
            customers.append((one.total / sale.total, age))
    return taken, customers


def test_thieves_give_more_back_than_a_sale_brought_or_show_old_receipts() -> None:
    taken, customers = _misfits(("above_sale", "late_return"))
    above = [one for label, one in taken.items() if label.endswith("above_sale")]
    late = [one for label, one in taken.items() if label.endswith("late_return")]
    assert len(above) > 5
    assert len(late) > 5
    shown = {
        one.transaction_id: one.original_transaction_id for campaign in above for _, one in campaign
    }
    receipts = list(shown.values())
    assert sum(receipt is not None for receipt in receipts) > 0.9 * len(receipts)
    known = [one for one in receipts if one is not None]
    assert len(set(known)) == len(known)
    assert max(times for times, _ in customers) <= 1.0
    assert all(len(campaign) >= 1 for campaign in late)


def test_what_only_looks_like_them_is_there_if_it_is_asked_for() -> None:
    _, plain = _misfits((*sample_incidents.KINDS,), rate=0.0)
    _, more = _misfits((*sample_incidents.KINDS,), sample_occasions.MORE_KINDS, rate=0.0)
    assert max(times for times, _ in plain) <= 1.0
    dearer = [times for times, _ in more if times > 1.0]
    assert 1.0 < median(dearer) <= 2.0
    old = [sum(age > OLD_DAYS for _, age in found) for found in (plain, more)]
    assert old[1] > 2 * old[0] + 10


def test_what_is_there_on_request_alone_changes_no_other_stream() -> None:
    """Whoever kept a stream by its seed gets the same bytes again."""
    digest = blake2b(digest_size=8)
    for sample in sample_stream(5, shops=6, days=24, campaigns_per_shop_week=2.0):
        digest.update(sample.data + b"%d" % sample.arrives_at + str(sample.label).encode())
    assert digest.hexdigest() == "7392674f242ea5bd"


def test_a_bare_stream_lacks_the_optional_fields() -> None:
    absent = (b"cashier_id", b"customer_id", b"card_token", b"original_tr", b"approval_limit")
    for sample in sample_stream(3, shops=3, days=4, bare=True):
        assert not any(name in sample.data for name in absent)


def test_short_streams_hold_campaigns_too() -> None:
    labels = {s.label for s in sample_stream(1, days=4, warm_up_days=1) if s.label}
    assert len(labels) >= 4


def test_the_command_writes_stream_and_labels(tmp_path: Path) -> None:
    out, labels = tmp_path / "samples.jsonl.gz", tmp_path / "labels.jsonl"
    arguments = ["--seed", "5", "--shops", "6", "--days", "10"]
    result = CliRunner().invoke(
        samples, [*arguments, "--output", str(out), "--labels", str(labels)]
    )
    assert result.exit_code == 0, result.output
    expected = list(sample_stream(5, shops=6, days=10))
    assert gzip.decompress(out.read_bytes()).split(b"\n")[:-1] == [s.data for s in expected]
    noted = [json.loads(line) for line in labels.read_text().splitlines()]
    assert [(n["transaction_id"], f"{n['campaign_id']}:{n['kind']}") for n in noted] == [
        (s.transaction_id, s.label) for s in expected if s.label
    ]


def test_a_garbled_record_is_never_a_transaction() -> None:
    parser = Parser(Pseudonymizer(b"sixteen bytes ok"))
    rng = Random(1)
    stream = sample_stream(2, shops=3, days=3)
    for sample in islice(stream, 2_000):
        record = Record(Position("s", "1"), sample.data, "", None)
        if isinstance(parser.parse(record), Transaction):
            broken = Record(record.position, garble(rng, sample.data), "", None)
            assert isinstance(parser.parse(broken), Rejection)
