"""From a page to the dashboard that shows it: the shop, from before its first refund. Pure."""

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from events.instant import HOUR, Instant, from_datetime, to_iso
from events.page import Entity, Page
from sinks.dashboards.patterns import TRANSACTIONS
from sinks.dashboards.rison import rison
from sinks.dashboards.saved_object import Json, asked
from sinks.dashboards.shop import SHOP

AROUND = HOUR
"""What is shown before a page's first refund, and behind its last: what was normal then."""

# A till's clock may say anything that a date can; a page about it must be sent all the same.
_FIRST = from_datetime(datetime.min.replace(tzinfo=UTC))
_LAST = from_datetime(datetime.max.replace(tzinfo=UTC))

_FIELDS = {
    "cashier": "cashier_id",
    "register": "register_id",
    "card": "card_token",
    "customer": "customer_id",
    "receipt": "original_transaction_id",
}


def dashboard_link(base_url: str, page: Page) -> str:
    """The address of the Shop dashboard for `page`; see `shop_link`."""
    since = min(page.first_at or page.opened_at, page.opened_at)
    until = max(page.updated_at, page.opened_at)
    return shop_link(base_url, page.shop_id, page.entity, since, until)


def shop_link(base_url: str, shop_id: str, entity: Entity, since: Instant, until: Instant) -> str:
    """The Shop dashboard of `shop_id`, with `AROUND` on both sides of that time.

    `base_url` is where Dashboards is: with the path that it is served under, with `/w/<id>` for a
    workspace, and with `?security_tenant=…` where it has tenants. A filter for the entity is there
    to be switched on: on from the start, it would hide the shop's pages and what is normal in it.
    """
    filters = [_phrase("shop_id", shop_id)]
    field = _FIELDS.get(entity.kind)
    if field is not None:
        filters.append(_phrase(field, entity.id, disabled=True))
    time = {
        "from": to_iso(max(since - AROUND, _FIRST)),
        "to": to_iso(min(until + AROUND, _LAST)),
    }
    shown = {"filters": [], "refreshInterval": {"pause": True, "value": 0}, "time": time}
    state = {"filters": filters, "query": asked("")["query"]}
    place = urlsplit(base_url)
    path = f"{place.path.rstrip('/')}/app/dashboards{'?' if place.query else ''}{place.query}"
    # All signs of Rison go as %xx: programs that find addresses in a text stop at some of them.
    view = f"/view/{SHOP.id}?_g={quote(rison(shown), safe='')}&_a={quote(rison(state), safe='')}"
    return f"{place.scheme}://{place.netloc}{path}#{view}"


def _phrase(field: str, value: str, *, disabled: bool = False) -> Json:
    """A filter of the dashboard: documents with that value in that field."""
    return {
        "$state": {"store": "appState"},
        "meta": {
            "alias": None,
            "disabled": disabled,
            "index": TRANSACTIONS.id,
            "key": field,
            "negate": False,
            "params": {"query": value},
            "type": "phrase",
        },
        "query": {"match_phrase": {field: value}},
    }
