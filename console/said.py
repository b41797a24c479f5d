"""What the page sends when a person says something: taken from the page itself alone."""

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

BODY_BYTES_MAX = 4_096
BY = "console"
"""Who says so, as far as the page knows: it asks nobody who they are."""

NO_STREAM = "This live view knows no stream to put it onto."

Said = TypeVar("Said", bound=msgspec.Struct)


async def said_in(request: Request, type_: type[Said], what: str) -> Said | Response:
    """What `request` says, or the answer that refuses it.

    A foreign page cannot send JSON here without being asked first whether it may (CORS), and no
    answer of ours allows it; browsers name the site that a request comes from besides.
    """
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return answer({"error": f"{what} is given on the page itself"}, 403)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return answer({"error": f"{what} is JSON"}, 415)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return answer({"error": f"{what} is shorter than that"}, 413)
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return answer({"error": f"not {what}: {error}"}, 400)


def answer(value: dict[str, str], status: int) -> Response:
    """`value` as JSON that nobody keeps."""
    return Response(
        msgspec.json.encode(value),
        status,
        {"Cache-Control": "no-store"},
        media_type="application/json",
    )
