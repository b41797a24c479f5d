"""Rules in the data path: what is kept back, from where to where, and that nothing else changes."""

import msgspec
import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.state import decode_shop
from consumer.duplicates import Duplicates
from consumer.pipeline import Cut, Pipeline, batches
from consumer.scorer import Scorer
from events.instant import DAY, MINUTE, Instant, to_iso
from events.page import Entity, Page
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from events.suppression import Lift, Suppression, suppression, wire_suppression
from events.transaction import Transaction
from tests.anomaly.trade import MONDAY, burst, trade, watch
from tests.consumer.world import as_records

SHOP = "shop-1"
KEY_GROUPS = 2


def stream(*said: tuple[int, Suppression | Lift]) -> list[bytes]:
    """Two weeks of trade and a burst of refunds, with `said` after so many refunds of the burst."""
    usual = [one for one in trade(5, days=15) if one.occurred_at < MONDAY + 14 * DAY]
    refunds = list(burst(14, 60))
    lines = [wire_of(one) for one in usual]
    for number, refund in enumerate(refunds):
        lines += [wire_suppression(one) for after, one in said if after == number]
        lines.append(wire_of(refund))
    return lines


def wire_of(transaction: Transaction) -> bytes:
    said = {
        "transaction_id": transaction.transaction_id,
        "shop_id": transaction.shop_id,
        "type": transaction.type,
        "occurred_at": to_iso(transaction.occurred_at),
        "currency": transaction.currency,
        "total": f"{transaction.total / 100:.2f}",
        "cashier_id": transaction.cashier_id,
        "original_transaction_id": transaction.original_transaction_id,
    }
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None})


def run(data: list[bytes], records_max: int = 100_000) -> list[Cut]:
    pipeline = Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(100_000),
        key_groups=KEY_GROUPS,
        batch_records_max=records_max,
        batch_bytes_max=2**30,
    )
    return list(batches(pipeline, as_records(data)))


def pages_of(cuts: list[Cut]) -> list[Page]:
    return [page for cut in cuts for page in cut.batch.pages]


def sent(pages: list[Page]) -> list[tuple[str, int]]:
    return [(page.page_id, page.revision) for page in pages if page.suppressed_by is None]


@pytest.fixture(scope="module")
def plain() -> list[Page]:
    pages = pages_of(run(stream()))
    assert len(pages) >= 3  # one that opens and grows
    return pages


START: Instant = burst(14, 1)[0].occurred_at


def rule(until: Instant = START + DAY, **about: object) -> Suppression:
    return suppression(SHOP, until, given_at=MONDAY, **about)


def test_a_suppressed_page_is_opened_and_grows_as_ever_but_says_what_keeps_it_back(
    plain: list[Page],
) -> None:
    made = rule()
    pages = pages_of(run(stream((0, made))))
    assert {page.suppressed_by for page in pages} == {made.rule_id}
    assert [msgspec.structs.replace(page, suppressed_by=None) for page in pages] == plain


def test_scores_are_those_of_a_stream_without_rules() -> None:
    def scores(cuts: list[Cut]) -> list[object]:
        return [item.score for cut in cuts for item in cut.batch.scored]

    assert scores(run(stream((0, rule()), (30, rule(reason="card"))))) == scores(run(stream()))


def test_a_rule_about_others_keeps_nothing_back(plain: list[Page]) -> None:
    others = [
        rule(entity=Entity("cashier", "c-77")),
        rule(reason="card"),
        suppression("shop-2", START + DAY, given_at=MONDAY),
        rule(since=START + 12 * 60 * MINUTE),
    ]
    assert pages_of(run(stream(*((0, one) for one in others)))) == plain


def test_a_page_that_was_sent_before_the_rule_grows_unsent(plain: list[Page]) -> None:
    opened = plain[0]
    assert opened.status == "open"
    members = opened.refunds
    pages = pages_of(run(stream((members + 1, rule(entity=opened.entity, reason=opened.reason)))))
    assert sent(pages) == [(opened.page_id, 0)]
    assert [page.revision for page in pages] == [page.revision for page in plain]


def test_behind_its_end_the_open_page_is_sent_with_its_next_refund(plain: list[Page]) -> None:
    ends = START + 60 * MINUTE
    pages = pages_of(run(stream((0, rule(ends)))))
    first = sent(pages)[0]
    told = next(page for page in pages if (page.page_id, page.revision) == first)
    assert told.status == "updated"
    refunds = [one.occurred_at for one in burst(14, 60)]
    assert told.updated_at == min(at for at in refunds if at >= ends)
    assert told.page_id == plain[0].page_id
    # From there on it is told as any other: by growth, and not with every refund.
    assert len(sent(pages)) <= 3


def test_a_rule_that_is_lifted_ends_where_that_stands_on_the_stream() -> None:
    made = rule()
    pages = pages_of(run(stream((0, made), (35, Lift(made.rule_id, SHOP, MONDAY)))))
    told = next(page for page in pages if page.suppressed_by is None)
    assert told.updated_at == burst(14, 60)[35].occurred_at


@pytest.mark.parametrize("records_max", [97, 701])
def test_pages_and_state_are_the_same_however_it_was_batched(records_max: int) -> None:
    made = rule(START + 60 * MINUTE)
    data = stream((3, made), (20, rule(reason="volume")), (25, made))
    once, often = run(data), run(data, records_max)
    assert pages_of(once) == pages_of(often)
    assert _states(once) == _states(often)
    said = [one for cut in often for one in cut.batch.suppressions]
    assert said == [one for cut in once for one in cut.batch.suppressions]
    assert len(said) == 3
    assert not any(cut.batch.rejections for cut in often)


def test_rules_survive_a_restart_in_the_middle_and_go_with_the_shop() -> None:
    usual = [one for one in trade(5, days=15) if one.occurred_at < MONDAY + 14 * DAY]
    refunds = burst(14, 60)
    config = DetectorConfig(key_groups=KEY_GROUPS)
    whole = Detector(config)
    watch(whole, usual)
    assert whole.suppress(rule(START + 60 * MINUTE))
    state = whole.take_changes()
    assert decode_shop(state.shops[SHOP]).rules[0].until == START + 60 * MINUTE
    _, expected = watch(whole, refunds)
    assert {page.suppressed_by is None for page in expected} == {True, False}
    for middle in (0, 5, 31, 33):
        first = Detector(config, state.shops, state.groups)
        _, before = watch(first, refunds[:middle])
        changed = first.take_changes()
        # A child of a reshard begins with its shops' bytes and its groups' alone, as here.
        then = Detector(config, state.shops | changed.shops, state.groups | changed.groups)
        _, after = watch(then, refunds[middle:])
        assert before + after == expected


def test_a_rule_for_a_shop_that_nobody_knows_is_dropped() -> None:
    detector = Detector(DetectorConfig(key_groups=KEY_GROUPS))
    assert not detector.suppress(rule())
    assert detector.take_changes().shops == {}


def test_a_transaction_that_cannot_be_scored_takes_no_rule_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import consumer.scorer

    poisoned = burst(14, 60)[5].transaction_id
    data = stream((3, rule()))
    without = [one for one in data if b'"' + poisoned.encode() + b'"' not in one]

    class Poisoned(Detector):
        def observe(self, transaction: Transaction) -> object:
            seen = super().observe(transaction)
            if transaction.transaction_id == poisoned:
                raise ZeroDivisionError
            return seen

    expected = run(without)
    monkeypatch.setattr(consumer.scorer, "Detector", Poisoned)
    cuts = run(data)
    assert [one.reason for one in cuts[0].batch.rejections] == ["scoring_failed"]
    assert pages_of(cuts) == pages_of(expected)
    assert _states(cuts) == _states(expected)


def _states(cuts: list[Cut]) -> dict[str, bytes]:
    return {shop: state for cut in cuts for shop, state in cut.detector.shops.items()}
