"""What each column of the lake means: the one place where it is said."""

MEANINGS = {
    "transaction_id": "Id of the transaction, as the till gave it.",
    "shop_id": "The shop.",
    "type": "SALE, REFUND or VOID.",
    "occurred_at": "When it occurred, in UTC.",
    "utc_offset_minutes": "What the till's clock was ahead of UTC, in minutes.",
    "currency": "ISO 4217 code of all its amounts.",
    "total": "Its amount: positive for a sale and for a refund, zero or more for a void.",
    "register_id": "The till.",
    "cashier_id": "Who stood at it.",
    "payment_method": "How it was paid, such as CARD or CASH.",
    "card_token": "Keyed hash of the card's token.",
    "customer_id": "The customer, where the shop knows one.",
    "contact_name": "Keyed hash of the customer's name.",
    "contact_email": "Keyed hash of the customer's e-mail address.",
    "original_transaction_id": "The sale that a refund gives back; absent without a receipt.",
    "reason": "Why it was refunded, as the cashier chose.",
    "approval_limit": "What the cashier may refund without somebody's approval.",
    "lines": "What was bought or given back.",
    "unknown": "Fields that the wire schema does not know, as JSON.",
    "score": "How unusual a refund is, 0 to 1; sales have none.",
    "score_reasons": "What the score is made of, by kind of evidence.",
    "model_version": "Which detector gave the score.",
    "shard_id": "Position in the stream: the shard.",
    "sequence_number": "Position in the stream: the record in the shard.",
    "sub_sequence_number": "Position in the stream: the part of a record that a producer packed.",
    "arrived_at": "When it reached the stream, in UTC.",
}

LINE_MEANINGS = {
    "item_id": "The item.",
    "description": "What it is called.",
    "category": "What kind of goods it is.",
    "quantity": "How many, or how much.",
    "unit_price": "The price of one.",
}

REASON_MEANINGS = {
    "kind": "The evidence, such as amount or cashier.",
    "entity_kind": "What it is about: a shop, cashier, card, item.",
    "entity_id": "Which one.",
    "expected": "What would have been normal.",
    "observed": "What was seen.",
    "unit": "What both are counted in.",
    "share": "How much of the score it made.",
}

_POSITION_OF = "How far the stream was read when the state was told"
PAGE_MEANINGS = {
    "page_id": "Id of the page: one incident.",
    "status": "open, updated or closed.",
    "revision": "Its states are numbered from 0.",
    "shop_id": "The shop.",
    "opened_at": "When it was opened, in UTC.",
    "updated_at": "When it came to this state, in UTC.",
    "reason": "Which pattern was not normal, such as volume or receipt.",
    "entity_kind": "What it is about: a shop, cashier, register, card, customer or receipt.",
    "entity_id": "Which one.",
    "severity": "1 low, 2, 3, or 4 critical.",
    "after_transaction_id": "The transaction that opened it.",
    "evidence": "Ids of transactions, worst first, 25 at most.",
    "refunds": "Refunds in it.",
    "observed": "What was seen: refunds, or one amount in minor units where the reason is amount.",
    "expected": "What would have been normal.",
    "refunded_total": "Amount of its refunds.",
    "currency": "ISO 4217 code of that amount.",
    "score": "The highest score in it, 0 to 1.",
    "model_version": "Which detector it is from.",
    "summary": "The sentence that people read first.",
    "suppressed_by": "The rule for which nobody was told; absent where people were.",
    "shard_id": f"{_POSITION_OF}: the shard.",
    "sequence_number": f"{_POSITION_OF}: the record in the shard.",
    "sub_sequence_number": f"{_POSITION_OF}: the part of the record.",
}

VERDICT_MEANINGS = {
    "page_id": "The page that it is about.",
    "shop_id": "The page's shop.",
    "reason": "The page's reason.",
    "finding": "fraud, ok or policy.",
    "given_at": "When it was given, in UTC.",
}
