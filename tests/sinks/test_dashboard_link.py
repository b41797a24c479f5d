"""Links from pages: what a browser hands to Dashboards, read back."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.instant import HOUR, MINUTE, SECOND, from_datetime, to_datetime
from events.page import Entity, Page
from sinks.dashboards.export import objects
from sinks.dashboards.link import dashboard_link
from sinks.dashboards.rison import rison
from sinks.page_links import Subject, links_of
from sinks.sns import publication
from tests.sinks.made import NOON, page
from tests.sinks.rison_reader import read

BASE = "https://search.example/_dashboards"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_rison_is_read_back_as_it_was(value: Any) -> None:
    assert read(rison(value)) == value


def test_rison_has_no_other_values() -> None:
    with pytest.raises(TypeError, match="Rison has no float"):
        rison({"a": [1.5]})


def opened(link: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
    """The address before the state, the object's id, and both states, as Dashboards reads them."""
    place, _, view = link.partition("#")
    assert urlsplit(f"http://x{view}").path.startswith("/view/")
    states = parse_qs(urlsplit(view).query, strict_parsing=True)
    return (
        place,
        urlsplit(view).path.removeprefix("/view/"),
        *(read(states[name][0]) for name in ("_g", "_a")),
    )


def a_page(**fields: Any) -> Page:
    return page(first_at=NOON - 20 * MINUTE, **fields)


def test_a_page_opens_its_shop_at_its_time() -> None:
    place, id_, shown, state = opened(dashboard_link(BASE, a_page()))
    assert place == f"{BASE}/app/dashboards"
    (dashboard,) = (found for found in objects() if found.id == id_)
    assert (dashboard.type, dashboard.title) == ("dashboard", "Tillwatch: Shop")
    assert shown["time"] == {"from": "2026-01-05T10:40:00.000Z", "to": "2026-01-05T13:30:00.000Z"}
    assert shown["refreshInterval"]["pause"] is True
    shop, entity = state["filters"]
    assert shop["query"] == {"match_phrase": {"shop_id": "shop-001"}}
    assert (shop["meta"]["disabled"], shop["meta"]["key"]) == (False, "shop_id")
    assert entity["query"] == {"match_phrase": {"cashier_id": "c-1"}}
    assert entity["meta"]["disabled"] is True
    ids = {found.id for found in objects() if found.type == "index-pattern"}
    assert {found["meta"]["index"] for found in state["filters"]} <= ids


def test_a_page_about_the_shop_itself_has_one_filter() -> None:
    *_, state = opened(dashboard_link(BASE, a_page(entity=Entity("shop", "shop-001"))))
    assert len(state["filters"]) == 1


def test_a_page_that_does_not_know_its_first_refund_begins_before_its_opening() -> None:
    _, _, shown, _ = opened(dashboard_link(BASE, page(first_at=0, updated_at=NOON - HOUR)))
    assert shown["time"] == {"from": "2026-01-05T11:00:00.000Z", "to": "2026-01-05T13:00:00.000Z"}


@pytest.mark.parametrize("shop", ["a 'shop' of!", "läden/7&x=1#%", "-1", "true", "日本", "a:b,(c)"])
def test_any_name_of_a_shop_comes_through(shop: str) -> None:
    link = dashboard_link(BASE, a_page(shop_id=shop))
    assert not set(link.partition("#")[2]) & set(" '()!<>\"#")
    assert opened(link)[3]["filters"][0]["query"] == {"match_phrase": {"shop_id": shop}}


@pytest.mark.parametrize(
    ("base", "place"),
    [
        ("http://127.0.0.1:5601/", "http://127.0.0.1:5601/app/dashboards"),
        ("https://x/_dashboards/w/abc", "https://x/_dashboards/w/abc/app/dashboards"),
        (
            "https://x/_dashboards/?security_tenant=global",
            "https://x/_dashboards/app/dashboards?security_tenant=global",
        ),
    ],
)
def test_a_workspace_and_a_tenant_stay_in_the_address(base: str, place: str) -> None:
    assert opened(dashboard_link(base, a_page()))[0] == place


instants = st.integers(
    from_datetime(datetime.min.replace(tzinfo=UTC)), from_datetime(datetime.max.replace(tzinfo=UTC))
)


@given(
    shop_id=st.text(min_size=1),
    entity=st.builds(Entity, st.sampled_from(["cashier", "card", "shop", "x"]), st.text()),
    times=st.lists(instants, min_size=3, max_size=3),
)
def test_every_page_has_a_link(shop_id: str, entity: Entity, times: list[int]) -> None:
    first_at, opened_at, updated_at = times
    link = dashboard_link(
        BASE,
        page(
            shop_id=shop_id,
            entity=entity,
            first_at=first_at,
            opened_at=opened_at,
            updated_at=updated_at,
        ),
    )
    _, _, shown, state = opened(link)
    assert state["filters"][0]["query"] == {"match_phrase": {"shop_id": shop_id}}
    begin, end = (datetime.fromisoformat(shown["time"][name]) for name in ("from", "to"))
    whole = opened_at - opened_at % (SECOND // 1_000)
    assert begin <= to_datetime(whole) <= end


def test_what_is_sent_of_a_page_has_the_link() -> None:
    links = links_of(Subject.of(a_page()), dashboards=BASE)
    message = json.loads(publication(a_page(), links)["Message"])
    assert json.loads(message["default"])["links"]["dashboard"] == dashboard_link(BASE, a_page())
    assert dashboard_link(BASE, a_page()) in message["email"]


def test_the_link_is_among_those_of_a_page_where_dashboards_is_known() -> None:
    subject = Subject.of(a_page())
    links = links_of(subject, "http://live.example", BASE)
    assert links["dashboard"] == dashboard_link(BASE, a_page())
    assert "live_view" in links
    assert "dashboard" not in links_of(subject, "http://live.example")
