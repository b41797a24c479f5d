"""Whether the server is an OpenSearch that the templates hold for."""

import re
from typing import Any

from sinks.opensearch_client import Refusal, ask
from sinks.templates import VERSION


class TooOld(Refusal):
    """It is no OpenSearch, or an old one; the message says which, and which is needed."""

    def __init__(self, said: str) -> None:
        Exception.__init__(self, said)
        self.status = 200
        self.said = said


def check(client: Any) -> None:
    """See that the server is new enough; one that does not tell is taken for it.

    Raises:
        TooOld: it is not.
        Transient: it does not answer.
    """
    try:
        version = ask(client, "GET", "/").get("version", {})
    except Refusal as error:
        if error.status in {401, 403}:
            return
        raise
    number = str(version.get("number", ""))
    needed = ".".join(map(str, VERSION))
    if version.get("distribution") != "opensearch":
        raise TooOld(f"this is no OpenSearch but {number or 'something else'}: {needed} is needed")
    found = tuple(map(int, re.findall(r"[0-9]+", number)[:2]))
    if found < VERSION:
        raise TooOld(
            f"this is OpenSearch {number}, which has no flat_object: {needed} or later is needed"
        )
