"""What went wrong between here and OpenSearch, in words that a person can act on. Pure."""

import json
import re
from typing import Any

from sinks.bulk import ItemError, detail_of

SAID_CHARACTERS_MAX = 300
"""So much of an answer's own words is kept."""

_STATUS_ADVICE = {
    401: "it does not know who asks: look at TILLWATCH_OPENSEARCH_USER and its password, or at "
    "TILLWATCH_OPENSEARCH_SIGNING, the credentials and this machine's clock",
    403: "who asks may not do it: grant the right, or lift the cluster's block",
    404: "there is no such thing there: is TILLWATCH_OPENSEARCH_URL the address of OpenSearch?",
    405: "is TILLWATCH_OPENSEARCH_URL the address of OpenSearch, and not of a page before it?",
    407: "a proxy in between wants a user and a password",
    429: "it has more to do than it takes: it is tried again, slower",
    502: "a proxy in between does not reach it",
    503: "it, or a proxy in between, is not ready",
    504: "a proxy in between does not get an answer from it",
}
_REDIRECT = range(300, 400)

# By the class names of urllib3's errors, so that nothing but the client's own module imports it.
_BY_CLASS: dict[str, str] = {
    "NameResolutionError": "its name is not known here (DNS): is TILLWATCH_OPENSEARCH_URL right?",
    "NewConnectionError": "nothing listens there: is it running, and TILLWATCH_OPENSEARCH_URL "
    "right?",
    "ConnectTimeoutError": "connecting takes too long: a firewall or security group in between?",
    "ReadTimeoutError": "it took the request and gave no answer in time: it is overloaded, or "
    "hangs; the same bytes are sent again, which doubles nothing",
    "ProtocolError": "the connection was closed before the whole answer was here",
    "ProxyError": "the proxy in between does not let it through",
}
_NOT_TRUSTED = "CERTIFICATE_VERIFY_FAILED"
_WRONG_NAME = re.compile(r"certificate is not valid for|[Hh]ostname mismatch|doesn't match")


def unanswered(error: Any) -> str:
    """The words for opensearch-py's ConnectionError: no answer came."""
    info = error.info
    reason = getattr(info, "reason", None)
    cause = reason if isinstance(reason, Exception) else info
    said = str(cause)
    if _NOT_TRUSTED in said or "SSL" in type(cause).__name__ or "SSL" in type(error).__name__:
        return f"no answer from OpenSearch: {_tls(said)}"
    name = next((c.__name__ for c in type(cause).__mro__ if c.__name__ in _BY_CLASS), None)
    advice = _BY_CLASS[name] if name else said[:SAID_CHARACTERS_MAX]
    return f"no answer from OpenSearch ({type(cause).__name__}): {advice}"


def _tls(said: str) -> str:
    if _WRONG_NAME.search(said):
        return (
            "its certificate is for another host name (TLS): use the name that it is issued for in "
            "TILLWATCH_OPENSEARCH_URL"
        )
    if _NOT_TRUSTED in said:
        return (
            "its certificate is not trusted here (TLS, "
            f"{_verify_words(said)}): name the file of its authority in "
            "TILLWATCH_OPENSEARCH_CA_BUNDLE, or have the certificate renewed"
        )
    return f"TLS failed, is it https at all? {said[:SAID_CHARACTERS_MAX]}"


def _verify_words(said: str) -> str:
    found = re.search(r"certificate verify failed: ([^(\"']+)", said)
    return found.group(1).strip() if found else "not verified"


def answered(error: Any) -> str:
    """The words for an answer with a status that is none of success."""
    status = error.status_code
    return f"OpenSearch answered {status}: {said_by(error)}{_advice(status)}"


def _advice(status: Any) -> str:
    if isinstance(status, int) and status in _REDIRECT:
        return "; it sends elsewhere: give the final address in TILLWATCH_OPENSEARCH_URL"
    advice = _STATUS_ADVICE.get(status)
    return f"; {advice}" if advice else ""


def said_by(error: Any) -> str:
    """The answer's own words, cut: its type and reason, or that it is no answer of OpenSearch."""
    body = error.info if isinstance(error.info, dict) else _object(error.error)
    if body is None:
        return _no_json(str(error.error))
    inner = body.get("error", body.get("message", body.get("Message", "")))
    if isinstance(inner, dict):
        said = ItemError(str(inner.get("type", "unknown")), str(inner.get("reason", "")))
        inner = f"{said.type}: {detail_of(said)}"
    return str(inner)[:SAID_CHARACTERS_MAX]


def _object(text: Any) -> dict[str, Any] | None:
    try:
        made = json.loads(text)
    except (ValueError, TypeError):
        return None
    return made if isinstance(made, dict) else None


_MARKUP = re.compile(r"<(script|style).*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def _no_json(text: str) -> str:
    words = " ".join(_MARKUP.sub(" ", text).split())[:80]
    if not words:
        return "(nothing)"
    if "<" in text:
        return f"a page of HTML, which OpenSearch does not send ({words})"
    return words
