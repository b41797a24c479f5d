"""What an unexpected error says, in words that may be kept."""

from pathlib import PurePath

from events.transaction import Transaction

DETAIL_CHARACTERS_MAX = 500
"""So much of an error's own words is kept."""


def failure(error: BaseException, transaction: Transaction) -> str:
    """Type and message of `error`, which `transaction` brought about, and where it was raised.

    What the transaction says of people is left out, although it is pseudonyms already.
    """
    message = str(error)
    for text in (
        transaction.contact_name,
        transaction.contact_email,
        transaction.card_token,
        transaction.customer_id,
    ):
        if text:
            message = message.replace(text, "…")
    where = ""
    trace = error.__traceback__
    if trace is not None:
        while trace.tb_next is not None:
            trace = trace.tb_next
        where = f" ({PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return said[:DETAIL_CHARACTERS_MAX] + where
