"""Ports and questions on this machine's own address."""

import socket
import urllib.error
import urllib.request

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A port that nobody listened on at 127.0.0.1 a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(url: str, seconds_max: float) -> bytes | None:
    """The body of a GET, without any proxy; None where nothing answers 2xx in time."""
    try:
        with _opener.open(url, timeout=seconds_max) as answer:
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return None
