"""`tillwatch console`: the live view as a small web server."""

import os
import socket
import time

import click

_LOOPBACK = ("127.0.0.1", "localhost")
_SHUTDOWN_SECONDS_MAX = 2


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port; 0 takes a free one.")
@click.option(
    "--public-name",
    "public_names",
    multiple=True,
    help="Host name that a proxy in front serves the page under; may be given again.",
)
def console(host: str, port: int, public_names: tuple[str, ...]) -> None:
    """Serve the live view of what OpenSearch holds.

    OpenSearch is named by TILLWATCH_OPENSEARCH_URL, and TILLWATCH_OPENSEARCH_USER and
    TILLWATCH_OPENSEARCH_PASSWORD where it asks for them. With TILLWATCH_STREAM set, and AWS
    credentials that may put records onto it, a page's buttons take verdicts and snoozes. With
    TILLWATCH_DASHBOARDS_URL a page links to its shop's dashboard. The first line on stdout is the
    page's address. The page asks nobody who they are: put a proxy that does in front
    before it leaves this machine, and name it with --public-name.
    """
    import uvicorn

    from console.app import build
    from console.reader import REQUEST_SECONDS_MAX, Reader
    from consumer.giver import giver_of
    from consumer.search_client import search_client_of
    from sinks.opensearch_client import NoCredentials

    url = os.environ.get("TILLWATCH_OPENSEARCH_URL")
    if not url:
        raise click.ClickException("TILLWATCH_OPENSEARCH_URL is not set: where is OpenSearch?")
    try:
        client = search_client_of(os.environ, url, request_seconds_max=REQUEST_SECONDS_MAX)
    except NoCredentials as error:
        raise click.ClickException(str(error)) from None
    listener = _listen(host, port)
    click.echo(f"http://{host}:{listener.getsockname()[1]}/")
    giver = giver_of(os.environ)
    reader = Reader(
        client,
        lambda: time.time_ns() // 1_000,
        takes_verdicts=giver is not None,
        dashboards=os.environ.get("TILLWATCH_DASHBOARDS_URL"),
    )
    app = build(reader, (*_LOOPBACK, host, *public_names), giver=giver)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS_MAX,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the address printed is one that already takes connections."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
