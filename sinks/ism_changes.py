"""The policies of sinks/ism.py in a cluster: made, changed, and put on indices that are there."""

from typing import Any

from sinks import ism
from sinks.cluster_changes import Change, Request, projected
from sinks.index_names import DAILY, MONTHLY, last_day
from sinks.opensearch_client import Refusal, ask

_API = "/_plugins/_ism"
_ABSENT = "no handler found"
_NOT_FOUND = 404
_POLICY_ID = "index.plugins.index_state_management.policy_id"


class NoPlugin(Exception):  # noqa: N818 -- a state of the cluster
    """The cluster has no Index State Management."""


def changes(client: Any, retention_days: int) -> list[Change]:
    """The policies, and which indices are to have them.

    An index keeps the policy as it was when it got it: where that differs, it is told to take the
    new one, which it does by itself within minutes.

    Raises:
        NoPlugin: this cluster does not know of policies.
        Transient: OpenSearch does not answer.
        Refusal: it refuses.
    """
    wanted = ism.policies(retention_days)
    made = [_policy(client, name, body) for name, body in wanted.items()]
    for index, found in sorted(_managed(client).items()):
        if last_day(index) is None or not isinstance(found, dict):
            continue
        name = ism.policy_of(index)
        there = found.get("policy_id") or found.get(_POLICY_ID)
        if there is not None and there not in wanted:
            continue  # somebody has chosen another policy for it
        before = None if there is None else _now(found, name, wanted[name])
        after = {"policy_id": name, "policy": wanted[name]}
        verb = "add" if there is None else "change_policy"
        request = Request("POST", f"{_API}/{verb}/{index}", {"policy_id": name})
        made.append(Change("policy of index", index, before, after, (request,)))
    return made


def _now(found: Any, name: str, wanted: Any) -> Any:
    """What policy the index has, as far as the cluster tells; where it does not, the right one."""
    policy = found.get("policy")
    shown = wanted if policy is None else projected(policy, wanted)
    return {"policy_id": found.get("policy_id") or found.get(_POLICY_ID) or name, "policy": shown}


def _policy(client: Any, name: str, body: Any) -> Change:
    path = f"{_API}/policies/{name}"
    try:
        there = ask(client, "GET", path)
    except Refusal as error:
        if _ABSENT in error.said:
            raise NoPlugin(str(error)) from error
        if error.status != _NOT_FOUND:
            raise
        return Change("policy", name, None, body, (Request("PUT", path, {"policy": body}),))
    params = {"if_seq_no": str(there["_seq_no"]), "if_primary_term": str(there["_primary_term"])}
    before = projected(there["policy"], body)
    request = Request("PUT", path, {"policy": body}, params)
    return Change("policy", name, before, body, (request,))


def _managed(client: Any) -> Any:
    every = ",".join(f"{kind}-*" for kind in (*DAILY, *MONTHLY))
    try:
        return ask(client, "GET", f"{_API}/explain/{every}", params={"show_policy": "true"})
    except Refusal as error:
        if error.status == _NOT_FOUND:  # there is no such index yet
            return {}
        raise
