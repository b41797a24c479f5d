"""What a person says of a page, passed on to the stream."""

from collections.abc import Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from console.reader import Reader, Unavailable
from console.said import BY, NO_STREAM, answer, said_in
from consumer.giver import Giver, NotGiven
from events.instant import Instant
from events.verdict import Finding, Verdict


class SaidOfPage(msgspec.Struct, forbid_unknown_fields=True):
    """What the page sends."""

    page_id: str
    verdict: Finding
    note: str | None = None


class VerdictEndpoint:
    """Takes verdicts from the page itself, and from no other site's."""

    def __init__(self, reader: Reader, giver: Giver | None, clock: Callable[[], Instant]) -> None:
        self._reader = reader
        self._giver = giver
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """202 and the verdict once it is durable on the stream; an error in words otherwise."""
        said = await said_in(request, SaidOfPage, "a verdict")
        return said if isinstance(said, Response) else await run_in_threadpool(self._give, said)

    def _give(self, said: SaidOfPage) -> Response:
        if self._giver is None:
            return answer({"error": NO_STREAM}, 503)
        try:
            page = self._reader.page(said.page_id)
            if page is None:
                return answer({"error": "no such page"}, 404)
            verdict = Verdict(
                page.page_id, page.shop_id, page.reason, said.verdict, self._clock(), BY, said.note
            )
            self._giver.give(verdict)
        except (Unavailable, NotGiven) as error:
            return answer({"error": str(error)}, 503)
        return answer({"page_id": page.page_id, "verdict": said.verdict}, 202)
