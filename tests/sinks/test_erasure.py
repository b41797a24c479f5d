"""What goes of a person's sale, page and row, and what stays for the books."""

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly.words import HASH_SHOWN
from events.pseudonym import Pseudonymizer
from sinks.erasure import (
    ERASED,
    PERSONAL,
    Subject,
    is_theirs,
    subject_of,
    without_names,
    without_person,
    without_person_in,
)
from sinks.parquet import encode
from sinks.rows import rows
from sinks.schema import SCHEMA
from tests.sinks.made import score, scored

OLD, NEW = Pseudonymizer(b"an old key for tests"), Pseudonymizer(b"a new key for tests")
CARD = NEW.card_token("k-1")
SUBJECT = subject_of([NEW, OLD], customer="u-1", card="k-1", email="Jane@Example.org ")


def document(**more: Any) -> dict[str, Any]:
    return {
        "transaction_id": "t-1",
        "total": 12.5,
        "cashier_id": "c-1",
        "customer_id": "u-9",
        "card_token": "card-other",
        "contact_name": "name-1",
        "contact_email": "email-1",
        "unknown": {"anything": 1},
        "lines": [{"description": "Mug"}],
        "score": {
            "value": 0.5,
            "reasons": [
                {"kind": "card", "entity_kind": "card", "entity_id": "card-other"},
                {"kind": "volume", "entity_kind": "shop", "entity_id": "shop-1"},
            ],
        },
        **more,
    }


def test_a_sale_is_theirs_by_any_of_its_signs_under_any_key() -> None:
    assert not is_theirs(document(), SUBJECT)
    for key in (OLD, NEW):
        assert is_theirs(document(card_token=key.card_token("k-1")), SUBJECT)
        assert is_theirs(document(contact_email=key.contact_email("jane@example.org")), SUBJECT)
    assert is_theirs(document(customer_id="u-1"), SUBJECT)
    assert not is_theirs({"transaction_id": "t-1"}, SUBJECT)
    assert not is_theirs(document(), Subject())


def test_a_customer_whose_id_is_an_address_is_found_by_it() -> None:
    subject = subject_of([NEW], customer="jane@example.org")
    assert is_theirs({"customer_id": NEW.customer_id("jane@example.org")}, subject)


def test_the_sale_stays_and_is_nobodys() -> None:
    kept = without_person(document())
    assert not set(kept) & set(PERSONAL)
    assert kept["total"] == 12.5
    assert kept["lines"] == [{"description": "Mug"}]
    assert [one["entity_id"] for one in kept["score"]["reasons"]] == [ERASED, "shop-1"]
    assert without_person(kept) == kept
    assert without_person({"transaction_id": "t-1", "score": {"value": 0.1}}) == {
        "transaction_id": "t-1",
        "score": {"value": 0.1},
    }


def test_a_page_names_nobody_and_stays() -> None:
    short = f"{CARD.removeprefix('card-')[:HASH_SHOWN]}…"
    page = {
        "page_id": "p-1",
        "entity": {"kind": "card", "id": CARD},
        "summary": f"3 refunds; to card {CARD}, again to card {short}, for u-1 and u-11",
    }
    kept = without_names(page, SUBJECT)
    assert kept["entity"] == {"kind": "card", "id": ERASED}
    assert kept["summary"] == (
        f"3 refunds; to card {ERASED}, again to card {ERASED}, for {ERASED} and u-11"
    )
    assert without_names(kept, SUBJECT) == kept
    other = {"entity": {"kind": "cashier", "id": "u-1"}, "note": "no word of 1"}
    assert without_names(other, SUBJECT) == other  # a cashier of that name is somebody else
    assert without_names({"note": "ask u-1"}, SUBJECT) == {"note": f"ask {ERASED}"}


def table() -> Any:
    some = [
        scored(1, customer_id="u-1", card_token=CARD, contact_name="name-1", unknown=b'{"a":1}'),
        scored(2, customer_id="u-2", card_token="card-2", unknown=b'{"b":1}', score=score()),
        scored(3, contact_email=OLD.contact_email("jane@example.org"), score=score()),
        scored(4, customer_id=None, card_token=None),
    ]
    return pq.ParquetFile(io.BytesIO(encode(rows(some)))).read()


def test_rows_keep_their_number_order_amounts_and_types() -> None:
    before = table()
    after, count = without_person_in(before, SUBJECT)
    assert count == 2
    assert after.schema.equals(before.schema)
    was, now = before.to_pylist(), after.to_pylist()
    assert len(was) == len(now) == 4
    for old, new in zip(was, now, strict=True):
        theirs = old["customer_id"] == "u-1" or old["contact_email"] is not None
        for name in SCHEMA.names:
            if theirs and name in PERSONAL:
                assert new[name] is None
            elif not (theirs and name == "score_reasons"):
                assert new[name] == old[name]
        assert isinstance(new["total"], Decimal)
    again, count = without_person_in(after, SUBJECT)
    assert count == 0
    assert again is after


def test_a_card_in_the_reasons_of_a_score_goes_too_and_the_shop_stays() -> None:
    kinds = ("card", "shop", "customer", None)
    reasons = [
        None
        if kind is None
        else [{**dict.fromkeys(REASON_NAMES), "entity_kind": kind, "entity_id": "x"}]
        for kind in kinds
    ]
    made = pa.table(
        {
            "customer_id": ["u-1", "u-1", "u-1", "u-1"] * 2,
            "score_reasons": pa.array(reasons * 2, SCHEMA.field("score_reasons").type),
        }
    )
    after, count = without_person_in(pa.concat_tables([made, made]), SUBJECT)
    assert count == 16
    told = [one and one[0]["entity_id"] for one in after["score_reasons"].to_pylist()]
    assert told == [ERASED, "x", ERASED, None] * 4


REASON_NAMES = [field.name for field in SCHEMA.field("score_reasons").type.value_type]


def test_nothing_shows_who_it_is() -> None:
    assert "u-1" not in repr(SUBJECT)
    assert f"{SUBJECT}" == "Subject(…)"
