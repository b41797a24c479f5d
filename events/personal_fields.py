"""Names of fields that speak of a person: what a source sends under them is not kept."""

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_ALWAYS: Final = """
    address addresses bic birth birthday birthdate birthname buyer cardholder cell cellphone
    citizen contact cvc cvv dob email emails firstname forename fullname gender givenname guest
    holder iban ip lastname mail maiden middlename mobile nickname pan passport password
    person personal phone phones postcode postal recipient signature ssn street surname tel
    telephone telefon username whatsapp zip zipcode
"""
"""A word among these, anywhere in the name, is enough."""

_WHOLE: Final = "card customer member name token user"
"""These speak of a person only where they are the whole name: a `user` is one, `user_agent` not."""

_OF_A_PERSON: Final = """
    account billing card cardholder client contact customer delivery family first full given
    guest holder last member middle owner passenger recipient shipping user
"""
"""A name, number or token of one of these."""

_WHICH: Final = "name names number no nr num token phone"

_always, _whole, _of_a_person, _which = (
    frozenset(words.split()) for words in (_ALWAYS, _WHOLE, _OF_A_PERSON, _WHICH)
)


def is_personal(name: str) -> bool:
    """Whether a field of this name is taken to hold what belongs to a person.

    Told by its words, however they are joined: `customerEmail`, `customer_email`, `Customer-EMail`.
    `item_name` and `shop_name` are no person's, `customer_name` and a bare `name` are.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    whole = "".join(words)
    if whole in _whole or whole in _always or "email" in whole:
        return True
    if not _always.isdisjoint(words):
        return True
    return not _which.isdisjoint(words) and not _of_a_person.isdisjoint(words)
