"""That no field which a transaction stands on is there twice.

Of duplicated keys the last wins, in every reader of JSON alike, and nobody may do that to an
amount. Looking at keys one by one takes longer than decoding the record, so strings are counted.
"""

import re
from typing import Final

from events.decode import duplicate_of
from events.parse_reason import ParseFault, ParseReason
from events.wire import REQUIRED, WireTransaction

_ESCAPED_LETTER: Final = re.compile(rb"\\u00(?:5[fF]|6|7)")


def strings_of(wire: WireTransaction) -> int:  # noqa: C901, PLR0912 -- a loop over names is slow
    """How many strings, keys included, a record of these fields has if nothing is there twice.

    Every value of `wire` stands somewhere in the record under its key, so a record without escapes
    that has just so many strings has no key twice, at any depth. It has more where a key is there
    twice, but also where a value is null or a field unknown: such a record is looked at again.
    """
    strings = 2 * len(REQUIRED) - (type(wire.total) is not str)
    if wire.schema is not None:
        strings += 1
    if wire.register_id is not None:
        strings += 2
    if wire.cashier_id is not None:
        strings += 2
    if wire.customer_id is not None:
        strings += 2
    if wire.original_transaction_id is not None:
        strings += 2
    if wire.reason is not None:
        strings += 2
    if (limit := wire.approval_limit) is not None:
        strings += 2 if type(limit) is str else 1
    if (payment := wire.payment) is not None:
        strings += 1 + 2 * (payment.method is not None) + 2 * (payment.card_token is not None)
    if (contact := wire.contact) is not None:
        strings += 1 + 2 * (contact.name is not None) + 2 * (contact.email is not None)
    if (lines := wire.lines) is not None:
        strings += 1
        for line in lines:
            if line.item_id is not None:
                strings += 2
            if line.description is not None:
                strings += 2
            if line.category is not None:
                strings += 2
            if (quantity := line.quantity) is not None:
                strings += 2 if type(quantity) is str else 1
            if (price := line.unit_price) is not None:
                strings += 2 if type(price) is str else 1
    return strings


def check_unique(data: bytes, *, escaped: bool) -> None:
    """Of duplicated keys the last wins, which nobody may do to what a transaction stands on.

    Counting the keys' bytes settles most records; a further sighting, which may be a value or lie
    deeper, or a key with escaped letters, asks for a real look.
    """
    count = data.count
    seen = (
        count(b'"transaction_id"')
        + count(b'"shop_id"')
        + count(b'"type"')
        + count(b'"occurred_at"')
        + count(b'"currency"')
        + count(b'"total"')
    )
    if seen == len(REQUIRED) and not (escaped and _ESCAPED_LETTER.search(data)):
        return
    if (name := duplicate_of(data, REQUIRED)) is not None:
        raise ParseFault(ParseReason.DUPLICATE_KEY, name)
