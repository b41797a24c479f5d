"""Verdicts in the data path: between the transactions where they stand, however it is batched."""

import pytest

import consumer.scorer
from anomaly.detector import Detector, DetectorConfig, Observation
from anomaly.state import decode_shop
from consumer.duplicates import Duplicates
from consumer.pipeline import Cut, Pipeline, batches
from consumer.scorer import Scorer
from events.instant import MINUTE
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from events.transaction import Transaction
from events.verdict import Verdict, wire_verdict
from tests.consumer.world import KEY_GROUPS, START, as_records, wire

POISONED = "t-000060"
VERDICT = Verdict("p-1", "shop-1", "volume", "policy", START + 40 * MINUTE, "ann", "new policy")
TRADE = [
    wire(
        number,
        shop=f"shop-{number % 3}",
        kind="REFUND" if number % 5 == 4 else "SALE",
        at=START + number * MINUTE,
    )
    for number in range(90)
]
DATA = [*TRADE[:40], wire_verdict(VERDICT), *TRADE[40:]]


def run(data: list[bytes], records_max: int = 1_000) -> list[Cut]:
    pipeline = Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(1_000),
        key_groups=KEY_GROUPS,
        batch_records_max=records_max,
        batch_bytes_max=2**20,
    )
    return list(batches(pipeline, as_records(data)))


def shops_after(cuts: list[Cut]) -> dict[str, bytes]:
    return {shop: state for cut in cuts for shop, state in cut.detector.shops.items()}


def test_a_verdict_is_in_the_batch_and_no_letter() -> None:
    (cut,) = run(DATA)
    assert cut.batch.verdicts == (VERDICT,)
    assert cut.batch.rejections == ()
    assert cut.batch.records == len(DATA)
    assert len(cut.batch.scored) == len(TRADE)
    assert decode_shop(shops_after([cut])["shop-1"]).verdicts["volume"].shift > 0.0


@pytest.mark.parametrize("records_max", [1, 7, 41])
def test_the_state_is_the_same_however_it_was_batched(records_max: int) -> None:
    assert shops_after(run(DATA, records_max)) == shops_after(run(DATA))


def test_a_verdict_that_comes_again_changes_nothing() -> None:
    again = [*DATA, wire_verdict(VERDICT)]
    assert shops_after(run(again)) == shops_after(run(DATA))
    assert run(again)[0].batch.verdicts == (VERDICT, VERDICT)


def test_a_transaction_that_cannot_be_scored_takes_no_verdict_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = shops_after(run([data for data in DATA if POISONED.encode() not in data]))

    class Poisoned(Detector):
        def observe(self, transaction: Transaction) -> Observation | None:
            seen = super().observe(transaction)
            if transaction.transaction_id == POISONED:
                raise ZeroDivisionError
            return seen

    monkeypatch.setattr(consumer.scorer, "Detector", Poisoned)
    cuts = run(DATA)
    assert [one.reason for one in cuts[0].batch.rejections] == ["scoring_failed"]
    assert shops_after(cuts) == without
