"""A year of one retailer's real invoices; nobody has labelled them."""

import os
from pathlib import Path

import pytest

from anomaly.detector import Detector, DetectorConfig
from events.page import Page
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction
from local.online_retail import read_invoices, to_wire
from tests.anomaly.trade import watch

DATA_SET = os.environ.get("TILLWATCH_ONLINE_RETAIL")
WEEKS = 53


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    if DATA_SET is None:
        pytest.skip("TILLWATCH_ONLINE_RETAIL does not name the data set")
    parser = Parser(Pseudonymizer(b"a key for tests only"))
    records = map(to_wire, read_invoices(Path(DATA_SET)))
    parsed = (
        parser.parse(Record(Position("file", str(number)), data, key))
        for number, (key, data) in enumerate(records)
    )
    valid = (one for one in parsed if isinstance(one, Transaction))
    return watch(Detector(DetectorConfig()), valid)[1]


@pytest.mark.parametrize("invoice", ["C541433", "C581484"])
def test_the_two_famous_returns_are_in_a_page_s_evidence(pages: list[Page], invoice: str) -> None:
    found = [page for page in pages if invoice in page.evidence]
    assert found
    assert found[0].severity == 4


def test_there_is_at_most_one_page_a_week(pages: list[Page]) -> None:
    assert sum(page.status == "open" for page in pages) <= WEEKS
