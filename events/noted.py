"""What a person wrote beside a verdict or a rule, as it may be kept."""

from typing import TypeVar

from msgspec.structs import replace

from events.redaction import redacted
from events.suppression import Lift, Suppression
from events.verdict import Verdict

Said = TypeVar("Said", bound=Verdict | Suppression | Lift)


def noted(said: Said) -> Said:
    """`said` with e-mail addresses, telephone and card numbers taken out of its note and `by`."""
    note = None if said.note is None else redacted(said.note)
    by = None if said.by is None else redacted(said.by)
    return said if (note, by) == (said.note, said.by) else replace(said, note=note, by=by)
