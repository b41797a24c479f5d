"""Rules of which pages nobody is told: how they match, end, make room, and travel with the shop."""

import msgspec
import pytest

from anomaly.suppression import RULES_MAX, RuleState, apply, holding
from events.instant import DAY, HOUR, Instant
from events.page import Entity
from events.suppression import Lift, Suppression, suppression

NOW: Instant = 1_767_600_000_000_000
CASHIER = Entity("cashier", "c-41")


def rule(
    until: Instant = NOW + DAY,
    entity: Entity | None = None,
    reason: str | None = None,
    since: Instant | None = None,
) -> Suppression:
    return suppression(
        "shop-017", until, given_at=NOW, entity=entity, reason=reason, since=since, by="ann"
    )


def rules_of(*said: Suppression | Lift) -> list[RuleState]:
    rules: list[RuleState] = []
    for one in said:
        assert apply(rules, one, NOW)
    return rules


def lift(one: Suppression) -> Lift:
    return Lift(one.rule_id, one.shop_id, NOW)


@pytest.mark.parametrize(
    ("made", "holds"),
    [
        (rule(), True),
        (rule(entity=CASHIER), True),
        (rule(reason="cashier"), True),
        (rule(entity=CASHIER, reason="cashier"), True),
        (rule(entity=Entity("card", "c-41")), False),
        (rule(entity=Entity("cashier", "c-4")), False),
        (rule(reason="volume"), False),
        (rule(entity=CASHIER, reason="volume"), False),
    ],
)
def test_a_rule_holds_where_all_that_it_names_is_the_page_s(
    made: Suppression, *, holds: bool
) -> None:
    found = holding(rules_of(made), "cashier", "cashier", "c-41", NOW)
    assert (found is not None) == holds


def test_a_rule_holds_from_its_beginning_to_before_its_end() -> None:
    rules = rules_of(rule(since=NOW + HOUR, until=NOW + 2 * HOUR))
    held = [
        at
        for at in (NOW, NOW + HOUR - 1, NOW + HOUR, NOW + 2 * HOUR - 1, NOW + 2 * HOUR)
        if holding(rules, "card", "card", "k-1", at) is not None
    ]
    assert held == [NOW + HOUR, NOW + 2 * HOUR - 1]


def test_of_several_the_one_that_ends_last_is_named() -> None:
    short, long = rule(NOW + HOUR), rule(NOW + DAY)
    found = holding(rules_of(long, short), "card", "card", "k-1", NOW)
    assert found is not None
    assert found.rule_id == long.rule_id


def test_a_lifted_rule_stays_lifted_although_it_comes_again() -> None:
    made = rule()
    rules = rules_of(made, lift(made))
    assert holding(rules, "card", "card", "k-1", NOW) is None
    assert not apply(rules, made, NOW)
    assert not apply(rules, lift(made), NOW)
    assert holding(rules, "card", "card", "k-1", NOW) is None


def test_what_is_over_or_unknown_changes_nothing() -> None:
    rules: list[RuleState] = []
    assert not apply(rules, rule(until=NOW), NOW)
    assert not apply(rules, lift(rule()), NOW)
    assert rules == []


def test_rules_that_ended_are_forgotten_when_the_next_comes() -> None:
    rules = rules_of(rule(NOW + HOUR))
    assert apply(rules, rule(NOW + DAY), NOW + HOUR)
    assert [one.until for one in rules] == [NOW + DAY]


def test_there_are_so_many_at_most_and_lifted_ones_make_room_first() -> None:
    made = [rule(NOW + HOUR + index * 1_000) for index in range(RULES_MAX)]
    rules = rules_of(*made, lift(made[7]))
    assert apply(rules, rule(NOW + DAY), NOW)
    assert made[7].rule_id not in {one.rule_id for one in rules}
    assert apply(rules, rule(NOW + 2 * DAY), NOW)
    assert made[0].rule_id not in {one.rule_id for one in rules}
    assert len(rules) == RULES_MAX


def test_rules_go_to_bytes_and_back() -> None:
    rules = rules_of(rule(), rule(entity=CASHIER, reason="cashier"))
    data = msgspec.msgpack.encode(rules)
    assert msgspec.msgpack.decode(data, type=list[RuleState]) == rules
