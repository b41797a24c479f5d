"""A card under another name: what a shop remembers of it when the key of the hashes is rotated."""

from anomaly.repeats import short
from anomaly.shop import Shop
from anomaly.state import TRAIL_MAX


def rename_card(shop: Shop, before: str, now: str) -> None:
    """Let `shop` know the card `before` as `now`, everywhere that it remembers it.

    Nothing else changes, the order in which cards are forgotten included: scores go on bit for bit
    as if the card had always had its new name.
    """
    state = shop.state
    seen, old, new = state.cards.seen, short(before), short(now)
    if old in seen:
        # Where workers of two keys took turns, the card was met under both.
        trail = sorted([*seen[old], *seen.get(new, ())], key=lambda refund: refund.at)
        order = [name for name in seen if name != (old if new in seen else new)]
        state.cards.seen = {
            (new if name in {old, new} else name): (
                trail[-TRAIL_MAX:] if name in {old, new} else seen[name]
            )
            for name in order
        }
    for refund in state.recent:
        if refund.card == before:
            refund.card = now
    for rule in state.rules:
        if rule.entity_kind == "card" and rule.entity_id == before:
            rule.entity_id = now
    for incident in state.incidents:
        if incident.entity_kind == "card" and incident.entity_id == before:
            incident.entity_id = now
