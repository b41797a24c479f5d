"""The web application: one page, its data, its files, and the way of a verdict to the stream."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.cache import Shared
from console.headers import SecurityHeaders
from console.live import Evidence, Live, PageRow
from console.reader import Reader, Unavailable
from console.suppressions import SuppressionEndpoint
from console.verdicts import VerdictEndpoint
from console.windows import DEFAULT_WINDOW, WINDOWS
from consumer.giver import Giver
from events.instant import Instant

Found = TypeVar("Found")

STATIC = Path(__file__).parent / "static"

CACHE_SECONDS = 1.0
EVIDENCE_KEYS_MAX = 64
PAGE_ID_CHARACTERS_MAX = 256


def build(
    reader: Reader,
    hosts: Sequence[str],
    monotonic: Callable[[], float] = time.monotonic,
    *,
    giver: Giver | None = None,
    clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
) -> Starlette:
    """The application that shows what `reader` reads, to requests that name one of `hosts`.

    Verdicts and snoozes go to `giver`; without one they are refused.

    The name is checked so that a foreign site cannot read the page through a browser whose DNS it
    points at this address.
    """
    lives = Shared[Live](CACHE_SECONDS, len(WINDOWS), monotonic)
    verdicts = VerdictEndpoint(reader, giver, clock)
    suppressions = SuppressionEndpoint(reader, giver, clock)
    evidences = Shared[Evidence | None](CACHE_SECONDS, EVIDENCE_KEYS_MAX, monotonic)
    pages = Shared[PageRow | None](CACHE_SECONDS, EVIDENCE_KEYS_MAX, monotonic)

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def live(request: Request) -> Response:
        chosen = WINDOWS.get(request.query_params.get("window", DEFAULT_WINDOW))
        if chosen is None:
            return _json({"error": f"window is one of {', '.join(WINDOWS)}"}, 400)
        try:
            return _json(
                await lives.get(chosen.name, lambda: run_in_threadpool(reader.live, chosen))
            )
        except Unavailable as error:
            return _json({"error": str(error)}, 503)

    async def evidence(request: Request) -> Response:
        return await _of_page(request, evidences, reader.evidence)

    async def one_page(request: Request) -> Response:
        return await _of_page(request, pages, reader.linked)

    async def failed(_: Request, __: Exception) -> Response:
        return _json({"error": "The live view failed; its log says why."}, 500)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api/live", live),
            Route("/api/evidence", evidence),
            Route("/api/page", one_page),
            Route("/api/verdict", verdicts.answer, methods=["POST"]),
            Route("/api/suppress", suppressions.answer, methods=["POST"]),
            Route("/healthz", healthz),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={Exception: failed},
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(GZipMiddleware, minimum_size=1_000),
        ],
    )


async def _of_page(
    request: Request, kept: Shared[Found | None], read: Callable[[str], Found | None]
) -> Response:
    """What `read` finds of the page that `request` names."""
    page_id = request.query_params.get("page_id", "")
    if not 0 < len(page_id) <= PAGE_ID_CHARACTERS_MAX:
        return _json({"error": "page_id is missing or too long"}, 400)
    try:
        found = await kept.get(page_id, lambda: run_in_threadpool(read, page_id))
    except Unavailable as error:
        return _json({"error": str(error)}, 503)
    return _json({"error": "no such page"}, 404) if found is None else _json(found)


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        {"Cache-Control": "no-store"},
        media_type="application/json",
    )
