"""The one thing that the page can do: pass on what a person says of a page."""

from collections.abc import Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from console.reader import Reader, Unavailable
from consumer.giver import Giver, NotGiven
from events.instant import Instant
from events.verdict import Finding, Verdict

BODY_BYTES_MAX = 4_096
BY = "console"
"""Who says so, as far as the page knows: it asks nobody who they are."""


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """What the page sends."""

    page_id: str
    verdict: Finding
    note: str | None = None


class VerdictEndpoint:
    """Takes verdicts from the page itself, and from no other site's.

    A foreign page cannot send JSON here without being asked first whether it may (CORS), and no
    answer of ours allows it; browsers name the site that a request comes from besides.
    """

    def __init__(self, reader: Reader, giver: Giver | None, clock: Callable[[], Instant]) -> None:
        self._reader = reader
        self._giver = giver
        self._clock = clock

    async def answer(self, request: Request) -> Response:
        """202 and the verdict once it is durable on the stream; an error in words otherwise."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _answer({"error": "verdicts are given on the page itself"}, 403)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _answer({"error": "a verdict is JSON"}, 415)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                return _answer({"error": "a verdict is shorter than that"}, 413)
        try:
            said = msgspec.json.decode(body, type=Said)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _answer({"error": f"not a verdict: {error}"}, 400)
        return await run_in_threadpool(self._give, said)

    def _give(self, said: Said) -> Response:
        if self._giver is None:
            return _answer({"error": "This live view knows no stream to put verdicts onto."}, 503)
        try:
            page = self._reader.page(said.page_id)
            if page is None:
                return _answer({"error": "no such page"}, 404)
            verdict = Verdict(
                page.page_id, page.shop_id, page.reason, said.verdict, self._clock(), BY, said.note
            )
            self._giver.give(verdict)
        except (Unavailable, NotGiven) as error:
            return _answer({"error": str(error)}, 503)
        return _answer({"page_id": page.page_id, "verdict": said.verdict}, 202)


def _answer(value: dict[str, str], status: int) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        {"Cache-Control": "no-store"},
        media_type="application/json",
    )
