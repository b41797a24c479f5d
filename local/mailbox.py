"""The pages as they are sent: a subscriber of the topic, read aloud."""

from typing import Any

import msgspec

from sinks.page_json import PageMessage
from sinks.page_text import SEVERITIES

_MESSAGES_MAX = 10
_decode = msgspec.json.Decoder(PageMessage).decode


class Mailbox:
    """The queue that stands for a person's mailbox."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def take(self) -> list[PageMessage]:
        """The pages that came since the last call, ten at most; each is given once."""
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=_MESSAGES_MAX
        )
        messages = answer.get("Messages", ())
        for message in messages:
            self._sqs.delete_message(
                QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return [_decode(message["Body"]) for message in messages]


def line(page: PageMessage) -> str:
    """One page on one line of a terminal, with nothing in it that a terminal would obey."""
    severity = SEVERITIES.get(page.severity, str(page.severity))
    said = "page" if page.status == "open" else f"page {page.status}"
    text = f"{said}: {severity}: {page.summary} [{page.page_id}, {page.opened_at}]"
    return "".join(char if char.isprintable() else " " for char in text)
