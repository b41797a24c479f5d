import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks import ism, retention
from sinks.index_names import last_day
from sinks.retention import Due, NotDeleted, due
from sinks.templates import kind_of

if TYPE_CHECKING:
    from local.stack import Stack

TODAY = date(2026, 3, 15)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("transactions-2026.01.05", date(2026, 1, 5)),
        ("rejections-2024.02.29", date(2024, 2, 29)),
        ("operations-2026.12.31", date(2026, 12, 31)),
        ("pages-2026.02", date(2026, 2, 28)),
        ("pages-2024.02", date(2024, 2, 29)),
        ("transactions-0001.01.01", date(1, 1, 1)),
    ],
)
def test_names_of_ours_say_their_last_day(name: str, last: date) -> None:
    assert last_day(name) == last


@pytest.mark.parametrize(
    "name",
    [
        *("verdicts", "suppressions", "operations", "rejections-undated", "pages-2026.13"),
        *("transactions-2026.02.30", "transactions-2026.1.5", "transactions-2026.01.05-old"),
        *("my-transactions-2026.01.05", "transactions-*", "pages-2026.01.05", "", "*", "_all"),
        *(
            "transactions-2026.01.05\n",
            "transactions-２０２６.01.05",
            ".ds-transactions-2026.01.05",
        ),
        *("transactions-2026.01", "TRANSACTIONS-2026.01.05", "transactions-2026.01.05,x"),
    ],
)
def test_any_other_name_is_not_ours_and_never_deleted(name: str) -> None:
    assert last_day(name) is None
    assert due([name], date(9999, 12, 31), 1) == Due((), 0)
    with pytest.raises(ValueError, match="none of our indices"):
        retention.delete(None, name)


def test_what_is_due_lies_more_than_the_days_back_and_a_month_by_its_last_day() -> None:
    names = [
        *("transactions-2026.02.12", "transactions-2026.02.13", "transactions-2026.03.15"),
        *("transactions-2026.03.20", "pages-2026.01", "pages-2026.02", "verdicts"),
    ]
    found = due(names, TODAY, 30)
    assert found.indices == ("pages-2026.01", "transactions-2026.02.12")
    assert found.known == 6


@given(st.lists(st.dates(), max_size=60), st.dates(), st.integers(1, 3_650))
def test_nothing_goes_before_its_time(days: list[date], today: date, kept: int) -> None:
    if today.toordinal() <= kept:
        return
    names = {f"transactions-{day.isoformat().replace('-', '.')}": day for day in days}
    gone = {names[name] for name in due(names, today, kept).indices}
    assert gone == {day for day in names.values() if (today - day).days > kept}


def test_policies_delete_no_sooner_than_retention_does() -> None:
    for name, policy in ism.policies(30).items():
        hot, delete = policy["states"]
        (transition,) = hot["transitions"]
        age = timedelta(days=int(transition["conditions"]["min_index_age"].removesuffix("d")))
        # Made on the day before the first that it holds, by a till whose clock is ahead.
        holds = timedelta(days=31 if name == ism.MONTHS else 1)
        assert timedelta(days=30) + holds <= age
        assert (hot["name"], policy["default_state"]) == ("hot", "hot")
        assert transition["state_name"] == delete["name"] == "delete"
        assert delete["actions"] == [{"delete": {}}]
        for pattern in policy["ism_template"][0]["index_patterns"]:
            sample = pattern.replace("*", "2026.01" if name == ism.MONTHS else "2026.01.05")
            assert last_day(sample) is not None
            assert ism.policy_of(sample) == name
            assert kind_of(sample) is not None


class Answering:
    """Stands where opensearch-py's client is asked, and answers with the cluster's time."""

    def __init__(self, now: datetime) -> None:
        self.transport = self
        self._now = now

    def perform_request(self, method: str, path: str, **_: Any) -> Any:
        assert (method, path) == ("GET", "/_cluster/stats")
        return {"timestamp": int(self._now.timestamp() * 1_000)}


NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


def test_a_clock_that_would_take_most_of_them_is_not_believed() -> None:
    names = [f"transactions-2026.03.{day:02}" for day in range(1, 16)]
    ahead = NOW + timedelta(days=40)
    found = due(names, ahead.date(), 30)
    with pytest.raises(NotDeleted, match=r"15 of 15 indices would go.*2026-04-24.*--force"):
        retention.check(Answering(NOW), found, ahead)


def test_a_clock_that_differs_from_the_cluster_s_is_not_believed() -> None:
    found = Due(("transactions-2026.01.01",), 30)
    retention.check(Answering(NOW), found, NOW)
    with pytest.raises(NotDeleted, match=r"here it is 2026-03-15 12:00 UTC.*2026-03-14"):
        retention.check(Answering(NOW - timedelta(days=1)), found, NOW)


@pytest.mark.integration
def test_at_a_node_the_old_go_and_nothing_else(stack: "Stack") -> None:
    stack.renew()
    client = stack.search_client()
    there = [f"transactions-2026.0{month}.{day:02}" for month in (1, 3) for day in (5, 6, 7, 8)]
    there += ["pages-2026.01", "verdicts", "operations", "transactions-2026.01.05-copy"]
    for name in there:
        client.indices.create(index=name)
    client.indices.put_alias(index="transactions-2026.03.05", name="transactions-2026.01.01")
    found = due(retention.names(client), TODAY, 30)
    assert found.indices == (
        "transactions-2026.01.05",
        *("transactions-2026.01.06", "transactions-2026.01.07", "transactions-2026.01.08"),
        "pages-2026.01",
    )
    assert found.known == 9, "the alias with a name of ours is not one of them"
    assert [retention.delete(client, name) for name in found.indices] == [True] * 5
    assert [retention.delete(client, name) for name in found.indices] == [False] * 5
    left = json.loads(json.dumps(list(client.indices.get(index="*"))))
    assert sorted(left) == sorted(set(there) - set(found.indices))
    client.close()
