"""The measures of detection, on cases small enough to be worked out by hand."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from consumer.cli import main
from consumer.evaluation import (
    Arrivals,
    Judged,
    Label,
    Measures,
    PageFacts,
    judge,
    measure,
    quantile,
)
from events.instant import DAY, HOUR, MINUTE, Instant, to_iso
from events.transaction import Transaction

START: Instant = 20_458 * DAY  # a Monday
DAYS = 28


def refund(name: str, at: Instant, total: int = 1_000, shop: str = "shop-1") -> Transaction:
    return Transaction(name, shop, "REFUND", at, 0, "GBP", total)


def stream(*refunds: Transaction, shops: tuple[str, ...] = ("shop-1", "shop-2")) -> Arrivals:
    """Four weeks in which each shop sold at the first and the last minute, and `refunds`."""
    arrivals = Arrivals()
    ends = [
        Transaction(f"{shop}-{at}", shop, "SALE", at, 0, "GBP", 500)
        for at in (START, START + DAYS * DAY)
        for shop in shops
    ]
    for place, transaction in enumerate(sorted([*ends, *refunds], key=lambda t: t.occurred_at)):
        arrivals.see(place, transaction)
    return arrivals


def day(number: float) -> Instant:
    return START + int(number * DAY)


def theft(count: int, at: Instant, name: str = "f") -> list[Transaction]:
    return [refund(f"{name}{one}", at + one * MINUTE) for one in range(count)]


def labels(stolen: list[Transaction], campaign: str = "c1", kind: str = "burst") -> list[Label]:
    return [Label(one.transaction_id, one.shop_id, campaign, kind) for one in stolen]


def page(
    after: Transaction, evidence: list[str], reason: str = "volume", number: int = 0
) -> PageFacts:
    name = f"p-{after.transaction_id}-{number}"
    opened = after.occurred_at
    return PageFacts(name, after.shop_id, opened, reason, after.transaction_id, tuple(evidence))


def test_a_page_with_a_quarter_of_its_evidence_in_a_campaign_is_a_hit_and_with_less_is_false() -> (
    None
):
    stolen = theft(8, day(20))
    other = [refund(f"n{one}", day(19)) for one in range(8)]
    arrivals = stream(*stolen, *other)
    evidence = ["f0", "n0", "n1", "n2"]
    hit = judge([page(stolen[2], evidence)], labels(stolen), arrivals)
    assert (hit.hits, hit.duplicates, hit.false_pages) == (1, 0, 0)
    miss = judge([page(stolen[2], [*evidence, "n3"])], labels(stolen), arrivals)
    assert (miss.hits, miss.duplicates, miss.false_pages) == (0, 0, 1)
    assert miss.false_by_reason == {"volume": 1}
    assert not miss.campaigns[0].found


def test_evidence_of_two_campaigns_is_not_added_up() -> None:
    one, two = theft(3, day(20), "f"), theft(3, day(21), "g")
    quiet = [refund(f"n{one}", day(19)) for one in range(8)]
    arrivals = stream(*one, *two, *quiet)
    evidence = ["f0", "g0", *(f"n{number}" for number in range(4))]
    judged = judge([page(two[0], evidence)], labels(one, "c1") + labels(two, "c2"), arrivals)
    assert judged.false_pages == 1


def test_a_campaign_of_another_shop_is_no_hit() -> None:
    stolen = [refund("f0", day(20), shop="shop-2")]
    arrivals = stream(*stolen)
    elsewhere = PageFacts("p", "shop-1", day(20), "volume", "f0", ("f0",))
    assert judge([elsewhere], labels(stolen), arrivals).false_pages == 1


def test_a_further_hit_is_a_duplicate_for_a_day_and_then_a_hit_that_finds_nothing_new() -> None:
    stolen = [refund(f"f{n}", day(20) + n * 12 * HOUR) for n in range(5)]
    pages = [page(one, [one.transaction_id]) for one in stolen]
    judged = judge(pages, labels(stolen, kind="cashier_drip"), stream(*stolen))
    # Hours 0, 24, 48 are hits: each lies a whole day after the hit before it.
    assert (judged.hits, judged.duplicates, judged.false_pages) == (3, 2, 0)
    found = measure([judged])
    assert (found.campaigns, found.found, found.recall) == (1, 1, 1.0)
    assert found.strict_precision == 1.0
    assert found.pages == 5


def test_strict_precision_counts_campaigns_found_and_not_pages() -> None:
    stolen = [refund(f"f{n}", day(20) + n * 30 * HOUR) for n in range(3)]
    false = refund("n0", day(22))
    pages = [*(page(one, [one.transaction_id]) for one in stolen), page(false, ["n0"])]
    found = measure([judge(pages, labels(stolen), stream(*stolen, false))])
    assert found.hits == 3
    assert found.strict_precision == 0.5


def test_latency_and_missed_value_end_with_the_refund_that_opened_the_page() -> None:
    stolen = [refund(f"f{n}", day(20) + n * MINUTE, total=100 * (n + 1)) for n in range(5)]
    pages = [page(stolen[3], ["f3"]), page(stolen[2], ["f0", "f1", "f2"], number=1)]
    judged = judge(pages, labels(stolen), stream(*stolen))
    (campaign,) = judged.campaigns
    assert (campaign.refunds_before, campaign.missed, campaign.stolen) == (3, 600, 1_500)
    found = measure([judged])
    assert (found.latency_median, found.latency_p90) == (3, 3)
    assert found.missed_value == pytest.approx(0.4)
    assert found.saved == 900


def test_arrival_counts_and_not_the_time_at_the_till() -> None:
    early, late = refund("f0", day(20)), refund("f1", day(20) - HOUR)
    arrivals = stream()
    arrivals.see(100, early)
    arrivals.see(101, late)
    arrivals.see(102, early)  # a producer sends it again, which changes nothing
    judged = judge([page(early, ["f0"])], labels([early, late]), arrivals)
    assert judged.campaigns[0].refunds_before == 1


def test_a_page_from_before_the_thief_began_tells_of_him_with_his_first_refund() -> None:
    before, stolen = refund("n0", day(20)), theft(3, day(20.1))
    judged = judge([page(before, ["n0", "f1", "f2"])], labels(stolen), stream(before, *stolen))
    assert judged.campaigns[0].refunds_before == 2


def test_a_campaign_that_nobody_found_is_missed_with_all_its_money() -> None:
    stolen = theft(3, day(20))
    found = measure([judge([], labels(stolen), stream(*stolen))])
    assert (found.recall, found.missed_value, found.saved) == (0.0, 1.0, 0)
    assert found.strict_precision is None
    assert found.latency_median is None


def test_pages_and_campaigns_of_the_first_fortnight_are_not_judged() -> None:
    early, stolen = refund("n0", day(13.9)), theft(2, day(14.1))
    old = theft(2, day(5), "g")
    pages = [page(early, ["n0"]), page(stolen[0], ["f0"]), page(old[0], ["g0"])]
    judged = judge(pages, labels(stolen) + labels(old, "c0"), stream(early, *stolen, *old))
    assert (judged.hits, judged.false_pages) == (1, 0)
    assert [one.campaign_id for one in judged.campaigns] == ["c1"]
    assert judge(pages, [], stream(early, *stolen, *old), warm_up=DAY).false_pages == 3


def test_shop_weeks_count_from_the_warm_up_or_a_shops_own_first_day() -> None:
    assert judge([], [], stream()).shop_weeks == pytest.approx(4.0)
    arrivals = stream()
    arrivals.see(99, refund("x", day(21), shop="shop-3"))
    judged = judge([], [], arrivals)
    assert judged.shop_weeks == pytest.approx(5.0)


def test_streams_are_pooled_by_counting_and_not_by_averaging() -> None:
    stolen = theft(4, day(20))
    arrivals = stream(*stolen)
    hit = judge([page(stolen[0], ["f0"])], labels(stolen), arrivals)
    quiet = refund("n0", day(20))
    miss = judge([page(quiet, ["n0"])], labels(stolen, kind="same_card"), stream(quiet, *stolen))
    found = measure([hit, hit, miss])
    assert found.recall == pytest.approx(2 / 3)
    assert found.recall_by_kind == {"burst": 1.0, "same_card": 0.0}
    assert found.strict_precision == pytest.approx(2 / 3)
    assert found.false_per_shop_week == pytest.approx(1 / 12)
    assert found.pages_per_shop_week == pytest.approx(3 / 12)


def test_nothing_at_all_has_no_measures_and_no_error() -> None:
    found = measure([judge([], [], Arrivals())])
    assert found == measure([])
    assert isinstance(found, Measures)
    assert found.recall is found.false_per_shop_week is found.missed_value is None
    assert isinstance(judge([], [], Arrivals()), Judged)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1, 2, 3, 4], 0.5, 2), ([1, 2, 3], 0.5, 2), ([7], 0.9, 7), (range(1, 11), 0.9, 9)],
)
def test_a_quantile_is_one_of_the_values(values: list[int], share: float, expected: int) -> None:
    assert quantile(list(values), share) == expected


def wire(number: int, at: Instant, kind: str = "SALE", total: str = "10.00") -> bytes:
    return json.dumps(
        {
            "transaction_id": f"t-{number}",
            "shop_id": "shop-1",
            "type": kind,
            "occurred_at": to_iso(at),
            "currency": "GBP",
            "total": total,
        }
    ).encode()


def write_case(folder: Path) -> list[str]:
    """A stream of one stolen and one honest refund, a page for each, as files."""
    lines = [
        wire(1, at=START),
        wire(2, day(20), "REFUND", total="40.00"),
        b"no transaction",
        wire(3, day(21), "REFUND", total="60.00"),
        wire(4, day(22), "REFUND"),
        wire(5, at=day(28)),
    ]
    (folder / "in.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    pages = [
        {
            "page_id": f"p-{name}",
            "shop_id": "shop-1",
            "opened_at": at,
            "reason": "volume",
            "after_transaction_id": name,
            "evidence": [name],
            "severity": 1,
        }
        for name, at in (("t-2", "2026-01-25T00:00:00Z"), ("t-4", "2026-01-27T00:00:00Z"))
    ]
    (folder / "pages.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pages))
    stolen = [
        {"transaction_id": name, "shop_id": "shop-1", "campaign_id": "c", "kind": "burst", "x": 1}
        for name in ("t-2", "t-3")
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(one) + "\n" for one in stolen))
    names = ("input", "in"), ("pages", "pages"), ("labels", "labels")
    return [part for option, name in names for part in (f"--{option}", f"{folder}/{name}.jsonl")]


def test_the_command_reads_the_three_files(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", *write_case(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["recall_by_kind"] == {"burst": 1.0}
    assert (found["hits"], found["false_pages"]) == (1, 1)
    assert found["missed_value"] == pytest.approx(0.4)
    assert found["shop_weeks"] == pytest.approx(2.0)


def test_the_command_prints_a_table_for_people(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", *write_case(tmp_path)])
    assert result.exit_code == 0, result.output
    rows = {line[:30].strip(): line[30:].strip() for line in result.stdout.splitlines()}
    assert rows["campaigns found"] == "1 of 1"
    assert rows["false pages per shop-week"] == "0.500"
    assert rows["money after the first page"] == "60.00 of 100.00"


def test_without_the_stream_times_stand_for_places(tmp_path: Path) -> None:
    arguments = write_case(tmp_path)[2:]
    labels = tmp_path / "labels.jsonl"
    result = CliRunner().invoke(main, ["evaluate", *arguments])
    assert result.exit_code == 1
    assert "no times" in result.output
    timed = [json.loads(line) for line in labels.read_text().splitlines()]
    for number, line in enumerate(timed):
        line["occurred_at"] = to_iso(day(20 + number))
    labels.write_text("".join(json.dumps(line) + "\n" for line in timed))
    result = CliRunner().invoke(main, ["evaluate", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["hits"], found["false_pages"], found["latency_median"]) == (1, 1, 1)
    assert found["missed_value"] is found["false_per_shop_week"] is None


def test_pages_of_another_stream_are_refused(tmp_path: Path) -> None:
    arguments = write_case(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(wire(1, at=START) + b"\n")
    result = CliRunner().invoke(main, ["evaluate", *arguments])
    assert result.exit_code == 1
    assert "no refund t-2" in result.output


def test_a_line_that_is_no_page_is_named(tmp_path: Path) -> None:
    arguments = write_case(tmp_path)
    (tmp_path / "pages.jsonl").write_text('{"page_id": 1}\n')
    result = CliRunner().invoke(main, ["evaluate", *arguments])
    assert result.exit_code == 1
    assert "line 1" in result.output
