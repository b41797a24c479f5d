"""Pages to people and machines through SNS."""

import json
from collections.abc import Mapping
from typing import Any

from events.page import Page
from sinks import page_text
from sinks.dynamodb import Claim, Ledger
from sinks.page_json import page_json
from sinks.page_links import Subject, links_of

SENT = frozenset({"open", "updated"})
"""A closing is in the index and in the live view; nobody is woken for it."""


def is_sent(page: Page) -> bool:
    """Whether people are told of `page` as it stands: it is new or grew, and no rule is over it."""
    return page.status in SENT and page.suppressed_by is None


class Pager:
    """Publishes every opening and update of a page once, to the topic `topic_arn`.

    One that a rule suppresses goes to nobody; the index has it.

    Machines (queues, functions, web hooks) get the JSON of page_json, e-mail the text of
    page_text, telephones its first words. `live_view` and `dashboards` are the addresses that a
    page's links lead to, where there are any.

    The ledger is asked before and told after. Where a worker dies in between, the page may go out
    twice, with the same page id and revision: SNS has no way to ask whether it did.
    """

    def __init__(
        self,
        client: Any,
        topic_arn: str,
        ledger: Ledger,
        *,
        live_view: str | None = None,
        dashboards: str | None = None,
    ) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._ledger = ledger
        self._live_view = live_view
        self._dashboards = dashboards
        self._published: set[tuple[str, int]] = set()
        """What SNS has taken and the ledger does not know yet: to be marked, not sent again."""

    def send(self, page: Page) -> bool:
        """Try once to send `page`; False where another process is at it, so that one must wait.

        True where it went out, now or before, or where nobody is told of such. Raises what AWS
        said; whether the page went out is then unknown, and trying again is right.
        """
        if not is_sent(page):
            return True
        sending = (page.page_id, page.revision)
        if sending not in self._published:
            claim = self._ledger.claim(page.page_id, page.revision)
            if claim is not Claim.MINE:
                return claim is Claim.SENT
            links = links_of(Subject.of(page), self._live_view, self._dashboards)
            self._client.publish(TopicArn=self._topic_arn, **publication(page, links))
            self._published.add(sending)
        self._ledger.mark_sent(page.page_id, page.revision)
        self._published.discard(sending)
        return True


def publication(page: Page, links: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of SNS' Publish for `page` with `links` by name, without the topic.

    The default is the JSON: what subscribes without a protocol of its own here is a machine.
    """
    machine = _ascii_json(page_json(page, links))
    person = page_text.text(page, links)
    message = {"default": machine, "email": person, "sms": page_text.sms(page)}
    return {
        "MessageStructure": "json",
        "Message": json.dumps(message),
        "Subject": page_text.subject(page),
        "MessageAttributes": {
            "severity": {"DataType": "Number", "StringValue": str(page.severity)},
            "shop_id": {"DataType": "String", "StringValue": page_text.attribute(page.shop_id)},
            "reason": {"DataType": "String", "StringValue": page_text.attribute(page.reason)},
            "status": {"DataType": "String", "StringValue": page.status},
        },
    }


def _ascii_json(data: bytes) -> str:
    """`data` with everything beyond ASCII escaped: SNS refuses some of it."""
    return json.dumps(json.loads(data), separators=(",", ":"))
