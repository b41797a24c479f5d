"""What sales brought and when: bounded, and wrong only by missing."""

from random import Random

import pytest

from anomaly.numbering import KNOWN_DAYS, Numbering, number_of
from anomaly.sale_state import NUMBERED_DAYS_MAX, SOLD_DAYS_MAX, SOLD_MAX
from anomaly.sold import AMOUNT, NAME, ROOM, WIDTH, SaleMemory, Sold, amount_of


def test_what_a_sale_brought_is_known_to_less_than_a_hundredth_and_never_too_low() -> None:
    for total in (*range(1, 3_000), 99_999, 10**6, 123_456_789):
        memory = SaleMemory()
        memory.keep("t-1", total)
        sold = memory.find("t-1")
        assert sold is not None
        assert total <= sold.total <= total * 1.006 + 1


def test_an_amount_too_large_for_its_bits_is_not_told() -> None:
    memory = SaleMemory()
    memory.keep("t-1", 10**15)
    assert memory.find("t-1") is None
    assert amount_of(AMOUNT) is None


@pytest.mark.parametrize("daily", [20, 130, 700])
def test_the_newest_days_of_a_small_shop_are_remembered_and_a_sample_of_a_busy_one(
    daily: int,
) -> None:
    memory, rng = SaleMemory(), Random(7)
    truth = []
    for day in range(60):
        memory.next_day(1, float(daily))
        for number in range(daily):
            receipt, total = f"{day:03}-{number:05}", rng.randrange(100, 50_000)
            truth.append((receipt, day, total))
            if number % memory.state.every == 0:
                memory.keep(receipt, total)
    found = [(day, total, memory.find(receipt)) for receipt, day, total in truth]
    known = [(day, total, sold) for day, total, sold in found if sold is not None]
    assert all(sold.total >= total and sold.days <= 59 - day for day, total, sold in known)
    assert sum(sold.days == 59 - day for day, _, sold in known) >= 0.99 * len(known)
    assert SOLD_MAX <= len(known) <= (SOLD_MAX + ROOM) * 1.01
    kept = {sold.days for _, _, sold in known}
    # A shop's whole memory is of its last days: of as many as fit, or of six where more is sold.
    assert max(kept) >= min(SOLD_MAX / daily, 5) - 1
    assert len(memory.state.entries) <= (SOLD_MAX + ROOM) * WIDTH


def test_a_receipt_that_is_not_remembered_is_hardly_ever_taken_for_another() -> None:
    memory = SaleMemory()
    for number in range(SOLD_MAX):
        memory.keep(f"sold-{number}", 1_000)
    false = sum(memory.find(f"never-{number}") is not None for number in range(20_000))
    assert false <= 25  # 20,000 * SOLD_MAX / 2**20 is 7


def test_of_sales_whose_hashes_collide_the_larger_amount_and_the_newer_day_count() -> None:
    memory = SaleMemory()
    for total, days in ((9_000, 3), (1_000, 2)):
        memory.keep("same", total)
        memory.next_day(days, 10.0)
    sold = memory.find("same")
    assert sold is not None
    assert 9_000 <= sold.total <= 9_060
    assert sold.days == 2


def test_an_entry_is_found_only_where_one_begins() -> None:
    """Bytes of two neighbours that look like a receipt's hash are none."""
    memory = SaleMemory()
    memory.keep("wanted", 500)
    entry = int.from_bytes(memory.state.entries, "little")
    upper = (entry & NAME).to_bytes(WIDTH, "little")[2:]
    memory.state.entries = bytearray(upper + b"\0\0" + b"\0\0" + upper)
    assert memory.find("wanted") is None


def test_sales_are_forgotten_after_so_many_days() -> None:
    memory = SaleMemory()
    memory.keep("t-1", 500)
    memory.next_day(SOLD_DAYS_MAX - 1, 1.0)
    assert memory.find("t-1") == Sold(memory.find("t-1").total, SOLD_DAYS_MAX - 1)  # type: ignore[union-attr]
    memory.next_day(5, 1.0)
    assert memory.find("t-1") is None
    assert len(memory.state.days) == SOLD_DAYS_MAX


def test_texts_that_no_encoding_allows_are_receipts_as_well() -> None:
    memory = SaleMemory()
    memory.keep("\ud800-1", 500)
    assert memory.find("\ud800-1") is not None


def _numbered(days: int, daily: int = 50, gap: int = 1) -> Numbering:
    numbering = Numbering()
    for day in range(0, days, gap):
        numbering.next_day(gap)
        numbering.begin_day(f"017-{100_000 + day * daily:07}")
    return numbering


def test_the_age_of_a_receipt_is_known_by_its_number_and_never_too_high() -> None:
    numbering = _numbered(80)
    for day in range(80):
        for place in (0, 1, 30, 49):
            days = numbering.days_old(f"017-{100_000 + day * 50 + place:07}")
            assert days is not None
            assert 79 - day - 1 <= days <= 79 - day


def test_days_without_a_sale_make_no_receipt_older() -> None:
    numbering = _numbered(70, gap=7)
    numbering.next_day(3)
    for day in range(0, 70, 7):
        days = numbering.days_old(f"017-{100_000 + day * 50 + 10:07}")
        assert days is not None
        assert days <= 63 + 3 - day


@pytest.mark.parametrize(
    "receipt",
    ["018-0100100", "0100100", "017-", "", "017-01001xx", "017-0000001", "9" * 40, "x" * 30 + "1"],
)
def test_receipts_of_another_row_of_numbers_say_nothing(receipt: str) -> None:
    assert _numbered(60).days_old(receipt) is None


def test_few_days_say_nothing() -> None:
    assert _numbered(KNOWN_DAYS - 1).days_old("017-0100001") is None
    assert _numbered(KNOWN_DAYS).days_old("017-0100001") is not None


def test_numbers_that_do_not_rise_say_nothing() -> None:
    rng, numbering = Random(3), Numbering()
    for day in range(400):
        numbering.next_day(1)
        numbering.begin_day(f"t-{rng.randrange(10**9):09}" if day % 7 else "no number at all!")
        assert numbering.days_old(f"t-{rng.randrange(10**9):09}") is None


def test_numbers_are_those_at_the_end_of_few_digits() -> None:
    assert number_of("a-7") == ("a-", 7)
    assert number_of("7") == ("", 7)
    assert number_of("a-") is None
    assert number_of("1" * 16) is None


def test_what_is_remembered_of_numbers_is_bounded() -> None:
    numbering = _numbered(500)
    assert len(numbering.state.rises) == NUMBERED_DAYS_MAX
