"""What a trail gives back of the refunds that were put into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anomaly.state import TRAIL_MAX, Recent
from anomaly.trail import added, instants, length, refunds

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=512)
_REFUNDS = st.builds(
    Recent,
    at=st.integers(-(2**62), 2**62),
    total=st.integers(0, 10**15),
    id=_TEXT,
    cashier=st.none() | _TEXT,
    card=st.none() | _TEXT,
    marks=st.integers(0, 7),
    incident=st.sampled_from(("", "p-0123456789abcdef0123")),
)


def _packed(known: list[Recent], *, named: bool = True) -> bytes:
    trail = b""
    for refund in known:
        trail = added(trail, refund, named=named)
    return trail


@given(st.lists(_REFUNDS, max_size=2 * TRAIL_MAX))
def test_the_last_refunds_come_back_as_they_were_but_for_the_card(known: list[Recent]) -> None:
    last = [replace(refund, card=None) for refund in known[-TRAIL_MAX:]]
    trail = _packed(known)
    assert list(refunds(trail)) == last
    assert instants(trail) == [one.at for one in last]
    assert length(trail) == len(last)


@given(st.lists(_REFUNDS, min_size=1, max_size=TRAIL_MAX))
def test_whose_trail_it_is_need_not_be_kept(known: list[Recent]) -> None:
    trail = _packed(known, named=False)
    assert {one.cashier for one in refunds(trail, "c-1")} == {"c-1"}
    assert {one.cashier for one in refunds(trail)} == {None}
    assert len(trail) <= len(_packed(known))


@pytest.mark.parametrize("characters", [1, 240, 250, 251, 252, 253, 254, 255, 256, 512])
def test_ids_of_any_length_fit(characters: int) -> None:
    known = [Recent(n, 100, f"{n}" * characters, "c" * characters, None, 1) for n in range(9)]
    assert list(refunds(_packed(known))) == known[-TRAIL_MAX:]
    nameless = [replace(refund, cashier=None) for refund in known[-TRAIL_MAX:]]
    assert list(refunds(_packed(known, named=False))) == nameless
