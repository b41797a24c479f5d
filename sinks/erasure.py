"""A person taken out of what is kept: sales stay for the books, and belong to nobody. Pure.

Of a transaction everything goes that tells whose it was: customer, card, contact, and the fields
that nobody declared, which may hold anything. Its id, time, till, cashier, amounts and lines stay.
"""

import re
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Final

import msgspec

from anomaly.words import HASH_SHOWN
from events.pseudonym import Pseudonymizer

ERASED: Final = "‹erased›"
"""What stands in place of a person where something has to stand."""

PERSONAL: Final = ("customer_id", "card_token", "contact_name", "contact_email", "unknown")
"""Fields of a transaction, and columns of its row, that go."""

NAMING: Final = ("entity_kind", "entity_id", "summary")
"""Columns of pages that may name a person; notes of verdicts are not in the lake."""

_OF_A_PERSON: Final = frozenset({"card", "customer"})
"""Kinds of entity that are a person, in the reasons of a score and on a page."""

Document = dict[str, Any]


class Subject(msgspec.Struct, frozen=True):
    """Who is to go, by what is kept of them: ids and hashes, under every key there was."""

    customer_id: frozenset[str] = frozenset()
    card_token: frozenset[str] = frozenset()
    contact_email: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return "Subject(…)"

    @property
    def fields(self) -> dict[str, frozenset[str]]:
        """By field, what tells that something is theirs; fields that tell nothing left out."""
        return {
            name: values
            for name in self.__struct_fields__
            if (values := frozenset[str](getattr(self, name)))
        }

    @property
    def names(self) -> frozenset[str]:
        """What pages and rules call them by."""
        return self.customer_id | self.card_token


def subject_of(
    keys: Iterable[Pseudonymizer],
    *,
    customer: str | None = None,
    card: str | None = None,
    email: str | None = None,
) -> Subject:
    """The subject that the clear values are hashed to, as the pipeline does it."""
    keys = list(keys)

    def under(clear: str | None, hashed: Callable[[Pseudonymizer, str], str]) -> frozenset[str]:
        return frozenset() if clear is None else frozenset(hashed(key, clear) for key in keys)

    return Subject(
        under(customer, Pseudonymizer.customer_id),
        under(card, Pseudonymizer.card_token),
        under(email, Pseudonymizer.contact_email),
    )


def is_theirs(document: Document, subject: Subject) -> bool:
    """Whether the transaction of this document is the subject's."""
    return any(document.get(name) in values for name, values in subject.fields.items())


def without_person(document: Document) -> Document:
    """The document of a transaction without whose it was."""
    kept = {name: value for name, value in document.items() if name not in PERSONAL}
    score = kept.get("score")
    if isinstance(score, dict) and score.get("reasons"):
        kept["score"] = {**score, "reasons": [_reason(reason) for reason in score["reasons"]]}
    return kept


def without_names(document: Document, subject: Subject) -> Document:
    """The document of a page, a verdict or a rule, with `ERASED` wherever it names the subject."""
    changes: Document = {
        name: reduce(_replaced, _spoken(subject), document[name])
        for name in ("summary", "note")
        if name in document
    }
    named = document.get("entity") or {}
    if named.get("kind") in _OF_A_PERSON and named.get("id") in subject.names:
        changes["entity"] = {**named, "id": ERASED}
    return {**document, **changes}


def without_person_in(table: Any, subject: Subject) -> tuple[Any, int]:
    """A table of rows without whose the subject's were, and how many these were.

    Rows keep their number and order; a table without any of them comes back as it is.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    theirs = None
    for name, values in subject.fields.items():
        if name in table.column_names:
            found = pc.is_in(table[name], value_set=pa.array(sorted(values), pa.string()))
            theirs = found if theirs is None else pc.or_(theirs, found)
    count = 0 if theirs is None else pc.sum(theirs).as_py() or 0
    if not count:
        return table, 0
    for index, field in enumerate(table.schema):
        if field.name in PERSONAL:
            nothing = pa.scalar(None, field.type)
            table = table.set_column(index, field, pc.if_else(theirs, nothing, table[field.name]))
        elif field.name == "score_reasons":
            table = table.set_column(index, field, _reasons(table[field.name], theirs, field.type))
    return table, count


def without_names_in(table: Any, subject: Subject) -> tuple[Any, int]:
    """A table of pages with `ERASED` in place of the subject, and how many rows named them."""
    import pyarrow as pa

    if not subject.names or not set(NAMING) <= set(table.column_names):
        return table, 0
    before = table.select(list(NAMING)).to_pylist()
    after = [_row_without_names(row, subject) for row in before]
    count = sum(one != other for one, other in zip(before, after, strict=True))
    if count:
        for name in NAMING:
            index = table.schema.get_field_index(name)
            field = table.schema.field(index)
            column = pa.array([row[name] for row in after], field.type)
            table = table.set_column(index, field, column)
    return table, count


def _row_without_names(row: Document, subject: Subject) -> Document:
    entity = {"kind": row["entity_kind"], "id": row["entity_id"]}
    cleaned = without_names({"entity": entity, "summary": row["summary"] or ""}, subject)
    return {**row, "entity_id": cleaned["entity"]["id"], "summary": cleaned["summary"]}


def _reasons(column: Any, theirs: Any, kind: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    # Seldom more than a few rows, so they may go through Python; all others stay as bytes.
    order = theirs.combine_chunks() if hasattr(theirs, "combine_chunks") else theirs
    cleaned = [
        None if reasons is None else [_reason(reason) for reason in reasons]
        for reasons in column.filter(order).to_pylist()
    ]
    both = pa.chunked_array([*column.chunks, pa.array(cleaned, kind)], kind)
    own = pc.cumulative_sum(order.cast(pa.int64()))
    places = pa.array(range(len(column)), pa.int64())
    return both.take(pc.if_else(order, pc.add(own, len(column) - 1), places))


def _reason(reason: dict[str, Any]) -> dict[str, Any]:
    return {**reason, "entity_id": ERASED} if reason["entity_kind"] in _OF_A_PERSON else reason


def _spoken(subject: Subject) -> list[str]:
    """What summaries call them, the longest first: a hash by its beginning, as words.py does."""
    hashes = (
        name.partition("-") for name in subject.names if name.startswith(("card-", "customer-"))
    )
    short = {f"{rest[:HASH_SHOWN]}…" for _, _, rest in hashes if len(rest) > 2 * HASH_SHOWN}
    return sorted(subject.names | short, key=lambda name: (-len(name), name))


def _replaced(text: str, name: str) -> str:
    """`text` without `name` as a word of its own: a customer `5` is not every five."""
    return re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", ERASED, text)
