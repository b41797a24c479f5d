"""Pages to people and machines through SNS."""

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from events.batch import Batch
from events.page import Page
from sinks import page_text
from sinks.aws_errors import passes
from sinks.dynamodb import Ledger
from sinks.page_json import page_json
from sinks.retry import WAIT_SECONDS_MAX, Retry
from sinks.sink import Written

SENT = frozenset({"open", "updated"})
"""A closing is in the index and in the live view; nobody is woken for it."""


class PageSink:
    """Publishes every opening and update of a page once, to the topic `topic_arn`.

    Machines (queues, functions, web hooks) get the JSON of page_json, e-mail the text of
    page_text, telephones its first words. `links` are templates as in page_json.links_of, such as
    the live view's address and the command that replays the page.

    The ledger is asked before and told after. Where a worker dies in between, the page may go out
    twice, with the same page id and revision: SNS has no way to ask whether it did.
    """

    name = "sns"

    def __init__(
        self,
        client: Any,
        topic_arn: str,
        ledger: Ledger,
        stop: threading.Event,
        *,
        links: Mapping[str, str] | None = None,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._topic_arn = topic_arn
        self._ledger = ledger
        self._links = dict(links or {})
        self._retry = Retry(
            self.name, stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def write(self, batch: Batch) -> Written:
        """Send the pages of `batch` in order; see Sink."""
        for page in batch.pages:
            if page.status in SENT and self._ledger.claim(page.page_id, page.revision):
                request = publication(page, self._links)
                self._retry.call(partial(self._client.publish, TopicArn=self._topic_arn, **request))
                self._ledger.mark_sent(page.page_id, page.revision)
        return Written()

    def close(self) -> None:
        """Nothing to let go of: the client belongs to who made it."""


def publication(page: Page, links: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of SNS' Publish for `page`, without the topic.

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
