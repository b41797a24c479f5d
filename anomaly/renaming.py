"""A card under another name: what a shop remembers of it when the key of the hashes is rotated."""

from anomaly.repeats import HALF_LIFE, UNIT, faded, newest, short
from anomaly.shop import Shop
from anomaly.state import SeenState
from anomaly.trail import added, refunds


def rename_card(shop: Shop, before: str, now: str) -> None:
    """Let `shop` know the card `before` as `now`, everywhere that it remembers it.

    Nothing else changes, the order in which cards are forgotten included: scores go on bit for bit
    as if the card had always had its new name.
    """
    state = shop.state
    seen, old, new = state.cards.seen, short(before), short(now)
    if old in seen:
        name = new if new in seen else old
        one = _together(seen[old], seen.get(new))
        order = [key for key in seen if key != (old if new in seen else new)]
        state.cards.seen = {(new if key == name else key): seen[key] for key in order}
        state.cards.seen[new] = one
    for refund in state.recent:
        if refund.card == old:
            refund.card = new
    for rule in state.rules:
        if rule.entity_kind == "card" and rule.entity_id == before:
            rule.entity_id = now
    for incident in state.incidents:
        if incident.entity_kind == "card" and incident.entity_id == before:
            incident.entity_id = now


def _together(one: SeenState, other: SeenState | None) -> SeenState:
    """What two names of a card gathered where workers of two keys took turns."""
    if other is None:
        return one
    last = max(newest(one), newest(other))
    count = sum(faded(each, last, HALF_LIFE) for each in (one, other))
    both = [*refunds(one.trail), *refunds(other.trail)]
    trail = b""
    for refund in sorted(both, key=lambda refund: refund.at):
        trail = added(trail, refund)
    return SeenState(int(UNIT * count), trail)
