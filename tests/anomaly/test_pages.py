import pytest

from anomaly import pages
from anomaly.detector import Detector, DetectorConfig
from anomaly.repeats import short
from anomaly.sequential import count, runs_in
from anomaly.shop import Shop
from anomaly.state import CASHIERS_TOLD_MAX, INCIDENTS_MAX, NEVER, Incident, Recent
from anomaly.suspicion import Suspicion
from events.instant import DAY, HOUR, MINUTE
from events.page import EVIDENCE_MAX
from tests.anomaly.trade import MONDAY, trade, watch


@pytest.fixture(scope="module")
def detector() -> Detector:
    known = Detector(DetectorConfig(key_groups=1))
    watch(known, trade(2, days=15))
    return known


@pytest.fixture
def shop(detector: Detector) -> Shop:
    changes = detector.take_changes()
    for one in detector._shops.values():
        one.dirty = True
        detector._changed.append(one)
    fresh = Detector(DetectorConfig(key_groups=1), changes.shops, changes.groups)
    return fresh._shops["shop-1"]


def _refund(number: int, cashier: str | None = "c-1", total: int = 1_000, marks: int = 1) -> Recent:
    return Recent(
        at=MONDAY + 15 * DAY + number * MINUTE,
        total=total,
        id=f"t-{number}",
        cashier=cashier,
        card=None,
        marks=marks,
    )


def _suspicion(
    shop: Shop, refunds: list[Recent], reason: str = "volume", entity: str | None = None
) -> Suspicion:
    return Suspicion(
        channel="volume",
        reason=reason,
        entity_kind="shop" if entity is None else reason,
        entity_id=shop.id if entity is None else entity,
        window=2 * HOUR,
        observed=float(len(refunds)),
        expected=0.5,
        refunds=refunds,
        parts=[("volume", 12.0, 0.5, float(len(refunds)), "refunds")],
        needed=0.5,
    )


def _open(shop: Shop, refunds: list[Recent], **more: str) -> Incident:
    return pages.open_incident(shop, refunds[-1], _suspicion(shop, refunds, **more), 0.9)


def test_an_incident_is_named_after_the_refund_that_opened_it(shop: Shop) -> None:
    first = _open(shop, [_refund(1), _refund(2)])
    assert first.page_id == pages.page_id("shop-1", "volume", "shop-1", "t-2")
    # Two incidents may begin with one refund, and people must be told of both.
    assert _open(shop, [_refund(1), _refund(3)]).page_id != first.page_id
    assert first.page_id.startswith("p-")


def test_evidence_is_worst_first_and_bounded_while_the_counts_go_on(shop: Shop) -> None:
    refunds = [_refund(number, total=1_000 + number) for number in range(40)]
    incident = _open(shop, refunds[:10])
    for refund in refunds[10:]:
        pages.join(incident, refund)
    page = pages.told(shop, incident, "updated", "v")
    assert page.evidence == tuple(f"t-{number}" for number in range(39, 39 - EVIDENCE_MAX, -1))
    assert page.refunds == 40
    assert page.refunded_total == sum(refund.total for refund in refunds)


def test_it_is_told_again_only_when_it_grew_by_the_stated_factor(shop: Shop) -> None:
    incident = _open(shop, [_refund(number) for number in range(10)])
    pages.told(shop, incident, "open", "v")
    told_at = []
    for number in range(10, 40):
        pages.join(incident, _refund(number))
        if pages.has_grown(incident):
            told_at.append(incident.refunds)
            pages.told(shop, incident, "updated", "v")
    assert told_at == [16, 26]
    pages.join(incident, _refund(41, total=10**6))
    assert pages.has_grown(incident)


def test_a_refund_belongs_to_the_incident_of_its_cashier_or_card(shop: Shop) -> None:
    mine = _open(shop, [_refund(1, "c-9")], reason="cashier", entity="c-9")
    card = _open(shop, [_refund(2, "c-8")], reason="card", entity="k-1")
    assert pages.of_entity(shop.state, _refund(3, "c-9")) is mine
    assert pages.of_entity(shop.state, _refund(3, "c-7")) is None
    paid = _refund(4, "c-7")
    paid.card = short("k-1")
    assert pages.of_entity(shop.state, paid) is card


def test_the_same_thing_seen_from_another_side_is_no_second_incident(shop: Shop) -> None:
    volume = _open(shop, [_refund(1, "c-9"), _refund(2, "c-9"), _refund(3, "c-1")])
    newest = _refund(4, "c-9")
    side = _suspicion(shop, [newest], reason="cashier", entity="c-9")
    assert pages.find(shop.state, [side]) is volume
    stranger = _suspicion(shop, [newest], reason="cashier", entity="c-5")
    assert pages.find(shop.state, [stranger]) is None
    assert pages.find(shop.state, [_suspicion(shop, [newest], reason="card", entity="k")]) is None
    assert pages.find(shop.state, [_suspicion(shop, [newest], reason="amount")]) is None
    assert pages.find(shop.state, [_suspicion(shop, [newest], reason="receipt")]) is volume
    assert pages.find(shop.state, [_suspicion(shop, [newest])]) is volume


def test_what_is_about_another_cashier_is_another_incident(shop: Shop) -> None:
    _open(shop, [_refund(1, "c-9")], reason="cashier", entity="c-9")
    other = _suspicion(shop, [_refund(2, "c-1")], reason="cashier", entity="c-1")
    assert pages.find(shop.state, [other]) is None


def test_what_was_told_counts_towards_nothing_else(shop: Shop) -> None:
    refunds = [_refund(1), _refund(2, "c-new")]
    refunds[0].card = short("k-1")
    shop.state.recent.extend(refunds)
    shop.cards.learn_one({"key": "k-1", "refund": refunds[0]})
    shop.cashiers.arrive("c-1")
    for runs in (shop.state.runs, shop.state.cashiers["c-1"]):
        count(runs, {0: 1.0}, 0)
    incident = _open(shop, refunds)
    assert [one.incident for one in shop.state.recent[-2:]] == [incident.page_id] * 2
    assert shop.cards.trail("k-1") == ()
    for runs in (shop.state.runs, shop.state.cashiers["c-1"]):
        assert max(test.nats for test in runs_in(runs)) == 250
    shop.state.clock += 9 * DAY
    assert pages.take_ended(shop.state) == [incident]
    assert shop.state.runs.tests == shop.state.cashiers["c-1"].tests == b""


def test_a_single_large_refund_ends_no_run(shop: Shop) -> None:
    count(shop.state.runs, {0: 1.0}, 0)
    before = len(runs_in(shop.state.runs))
    _open(shop, [_refund(1)], reason="amount")
    assert len(runs_in(shop.state.runs)) == before > 0


@pytest.mark.parametrize("kind", ["card", "customer", "receipt"])
def test_what_came_again_and_was_told_is_forgotten(shop: Shop, kind: str) -> None:
    repeats = {"card": shop.cards, "customer": shop.customers, "receipt": shop.receipts}[kind]
    repeats.learn_one({"key": "x", "refund": _refund(1)})
    _open(shop, [_refund(2)], reason=kind, entity="x")
    assert repeats.trail("x") == ()


def test_a_run_all_of_whose_refunds_were_told_begins_with_the_newest(shop: Shop) -> None:
    told, newest = _refund(1), _refund(2)
    told.incident = newest.incident = "p-other"
    incident = pages.open_incident(shop, newest, _suspicion(shop, [told, newest]), 0.9)
    assert [one for _, one in incident.evidence] == [newest.id]


def test_too_many_incidents_make_the_quietest_close(shop: Shop) -> None:
    opened = [_open(shop, [_refund(number, f"c-{number}")]) for number in range(INCIDENTS_MAX - 1)]
    assert pages.room(shop.state) is None
    opened.append(_open(shop, [_refund(90)]))
    opened[2].alive_at -= HOUR
    assert pages.room(shop.state) is opened[2]
    assert opened[2] not in shop.state.incidents


def test_a_seventh_incident_is_opened_with_the_quietest_one_closed(
    detector: Detector, shop: Shop
) -> None:
    for number in range(INCIDENTS_MAX):
        _open(shop, [_refund(number, f"c-{number}")])
    newest = _refund(99, "c-99", total=10**6)
    passing = _suspicion(shop, [newest], reason="cashier", entity="c-99")
    nothing = _suspicion(shop, [newest], reason="amount")
    beyond = [(-9.0, nothing), (3.0, passing)]
    told = detector._page(shop, newest, beyond, 0.99, None)
    assert [page.status for page in told] == ["closed", "open"]
    assert len(shop.state.incidents) == INCIDENTS_MAX


def test_an_incident_ends_when_its_shop_s_clock_shows_that_it_is_quiet(shop: Shop) -> None:
    state = shop.state
    incident = _open(shop, [_refund(1)])
    assert state.closes_at == state.clock + pages.QUIET["volume"]
    state.clock += pages.QUIET["volume"] - 1
    assert pages.take_ended(state) == []
    pages.keep_alive(state, incident, [_suspicion(shop, [_refund(2)])])
    state.clock += 1
    assert pages.take_ended(state) == []
    state.clock += pages.QUIET["volume"]
    assert pages.take_ended(state) == [incident]
    assert state.closes_at == NEVER


def test_what_concerns_another_entity_does_not_keep_it_alive(shop: Shop) -> None:
    incident = _open(shop, [_refund(1)])
    alive_at = incident.alive_at
    shop.state.clock += HOUR
    pages.keep_alive(shop.state, incident, [_suspicion(shop, [], reason="card", entity="k")])
    assert incident.alive_at == alive_at
    pages.keep_alive(shop.state, incident, [_suspicion(shop, [_refund(2)])])
    assert incident.alive_at == alive_at + HOUR


def test_cashiers_named_are_bounded_and_a_missing_one_is_not_named(shop: Shop) -> None:
    incident = _open(shop, [_refund(0, None)])
    for number in range(1, 3 * CASHIERS_TOLD_MAX):
        pages.join(incident, _refund(number, f"c-{number}"))
    assert len(incident.cashiers) == CASHIERS_TOLD_MAX
    assert incident.refunds == 3 * CASHIERS_TOLD_MAX


@pytest.mark.parametrize(
    ("refunded", "daily", "level"),
    [
        (500, 10_000, 1),
        (20_000, 10_000, 2),
        (90_000, 10_000, 3),
        (900_000, 10_000, 4),
        (900_000, 10_000_000, 1),
        (1_000, 0, 1),
    ],
)
def test_severity_is_money_against_the_shop_s_days_and_its_sales(
    shop: Shop, refunded: int, daily: int, level: int
) -> None:
    incident = _open(shop, [_refund(1, total=refunded)])
    assert pages.severity(incident, usual_sale=1_000.0, refunded_daily=float(daily)) == level


def test_small_change_is_not_worth_a_page_however_odd(detector: Detector, shop: Shop) -> None:
    for total, told in ((1, 0), (10**6, 1)):
        newest = _refund(99, "c-99", total=total)
        passing = _suspicion(shop, [newest], reason="cashier", entity="c-99")
        nothing = _suspicion(shop, [newest], reason="amount")
        beyond = [(-9.0, nothing), (3.0, passing)]
        assert len(detector._page(shop, newest, beyond, 0.99, None)) == told
