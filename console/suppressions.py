"""Snoozing a page: a rule about its shop, entity and reason, passed on to the stream."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from console.reader import Reader, Unavailable
from console.said import BY, NO_STREAM, answer, said_in
from consumer.giver import Giver, NotGiven
from events.instant import DAY, WEEK, Instant, from_datetime, to_iso
from events.page import Entity
from events.suppression import Lift, suppression

SPANS: dict[str, Instant] = {"day": DAY, "week": WEEK}


class Snooze(msgspec.Struct, forbid_unknown_fields=True):
    """What the page sends: how long its page is to rest, or that a rule is to end."""

    page_id: str
    span: Literal["day", "week"] | None = None
    lift: str | None = None
    note: str | None = None


class SuppressionEndpoint:
    """Takes rules from the page itself, and from no other site's."""

    def __init__(self, reader: Reader, giver: Giver | None, clock: Callable[[], Instant]) -> None:
        self._reader = reader
        self._giver = giver
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """202 and the rule once it is durable on the stream; an error in words otherwise."""
        said = await said_in(request, Snooze, "a snooze")
        if isinstance(said, Response):
            return said
        if (said.span is None) == (said.lift is None):
            return answer({"error": "not a snooze: it has either a span or a lift"}, 400)
        return await run_in_threadpool(self._give, said)

    def _give(self, said: Snooze) -> Response:
        if self._giver is None:
            return answer({"error": NO_STREAM}, 503)
        try:
            page = self._reader.page(said.page_id)
            if page is None:
                return answer({"error": "no such page"}, 404)
            if said.lift is not None:
                self._giver.give(Lift(said.lift, page.shop_id, self._clock(), BY, said.note))
                return answer({"page_id": page.page_id, "lifted": said.lift}, 202)
            # From now in the data, which a replayed stream has of its own.
            updated_at = from_datetime(datetime.fromisoformat(page.updated_at))
            until = max(self._reader.now() or 0, updated_at) + SPANS[said.span or "day"]
            rule = suppression(
                page.shop_id,
                until,
                given_at=self._clock(),
                entity=Entity(page.entity_kind, page.entity_id),
                reason=page.reason,
                by=BY,
                note=said.note,
            )
            self._giver.give(rule)
        except (Unavailable, NotGiven) as error:
            return answer({"error": str(error)}, 503)
        return answer(
            {"page_id": page.page_id, "rule_id": rule.rule_id, "until": to_iso(rule.until)}, 202
        )
