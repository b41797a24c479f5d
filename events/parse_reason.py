"""The stable words for what is wrong with a record that cannot be parsed."""

from enum import StrEnum
from typing import Self


class ParseReason(StrEnum):
    """Why a Record is a Rejection of stage `parse`, each with its meaning for a person.

    Alarms and dead-letter tools filter by these words: one may be added, none renamed.
    docs/rejections.md says what to do about each.
    """

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """A member that is its `word` and carries its `meaning`."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member

    EMPTY_RECORD = "empty_record", "the record has no bytes, or blanks only"
    NOT_UTF8 = "not_utf8", "the bytes are not UTF-8"
    NOT_JSON = "not_json", "the text is not one JSON value"
    LONE_SURROGATE = "lone_surrogate", "a string holds half a surrogate pair, which is no character"
    NOT_OBJECT = "not_object", "the JSON value is not an object"
    TOO_DEEP = "too_deep", "objects and arrays are nested more than 32 deep"
    SCHEMA_UNSUPPORTED = "schema_unsupported", "the version is not 1"
    DUPLICATE_KEY = "duplicate_key", "a required field stands there twice"
    MISSING_FIELD = "missing_field", "a field that must be there is absent or null"
    WRONG_TYPE = "wrong_type", "the value has another JSON type than the field"
    EMPTY_TEXT = "empty_text", "an identifier or token is the empty string"
    TOO_LONG = "too_long", "a text is longer than its field allows"
    TOO_MANY_LINES = "too_many_lines", "there are more than 5,000 lines"
    CONTROL_CHARACTER = "control_character", "an identifier holds a control character, such as NUL"
    UNKNOWN_TYPE = (
        "unknown_type",
        (
            "the text is none of SALE, REFUND, VOID; or it is VERDICT, SUPPRESSION or"
            " SUPPRESSION_LIFTED, and that is not whole"
        ),
    )
    UNKNOWN_CURRENCY = "unknown_currency", "the text is no currency code of ISO 4217"
    UNKNOWN_FIELDS_TOO_LARGE = (
        "unknown_fields_too_large",
        "the fields that the schema does not know take more than 16 KiB",
    )
    AMOUNT_NOT_DECIMAL = "amount_not_decimal", "the value is no decimal number"
    AMOUNT_TOO_PRECISE = "amount_too_precise", "the value has more decimals than its field can hold"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range", "the value is too large to be true"
    AMOUNT_NOT_POSITIVE = "amount_not_positive", "the total of a sale or refund is zero or less"
    AMOUNT_NEGATIVE = "amount_negative", "the value is below zero"
    TIME_INVALID = "time_invalid", "the value is no RFC 3339 date and time"
    TIME_WITHOUT_OFFSET = "time_without_offset", "the time has no offset from UTC"
    OCCURRED_IN_FUTURE = "occurred_in_future", "the time lies too far after the record's arrival"
    OCCURRED_TOO_LONG_AGO = "occurred_too_long_ago", "the time lies before the year 2000"


class ParseFault(Exception):  # noqa: N818 -- never leaves events/: it becomes a Rejection
    """What is wrong with a record, and in which field; `note` says more, input values left out."""

    def __init__(self, reason: ParseReason, field: str | None = None, note: str = "") -> None:
        super().__init__(reason, field, note)
        self.reason = reason
        self.field = field
        self.note = note

    @property
    def detail(self) -> str:
        """One sentence for a person."""
        sentence = f"{self.field}: {self.reason.meaning}" if self.field else self.reason.meaning
        return f"{sentence} ({self.note})" if self.note else sentence
