"""`tillwatch verdict`: what a person says of a page, put onto the stream."""

import os
import time
from typing import Any, get_args

import click
import msgspec

from consumer.services import CONNECT_SECONDS_MAX, READ_SECONDS_MAX
from events.instant import Instant
from events.verdict import ID_MAX, NOTE_MAX, Finding, Verdict, wire_verdict

FINDINGS: tuple[Finding, ...] = get_args(Finding)
ATTEMPTS_MAX = 4
"""Of one put; a verdict that stands on the stream twice counts once."""

PAGES = "pages-*"


class NotGiven(Exception):  # noqa: N818 -- what is told, not a fault of ours
    """The verdict did not get onto the stream; the message may be shown to anyone."""


class Judged(msgspec.Struct, frozen=True):
    """What a verdict needs to know of its page."""

    page_id: str
    shop_id: str
    reason: str


class Giver:
    """Puts verdicts onto the stream, among their shop's transactions.

    `client` is boto3's Kinesis client.
    """

    def __init__(self, client: Any, stream: str) -> None:
        self._client = client
        self._stream = stream

    def give(self, verdict: Verdict) -> None:
        """Put `verdict`; it is durable on return.

        Raises:
            NotGiven: the stream does not take it, or a field of it is not as the schema wants it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            data = wire_verdict(verdict)
        except ValueError as error:
            raise NotGiven(f"The verdict is not whole: {error}.") from error
        try:
            self._client.put_record(
                StreamName=self._stream, PartitionKey=verdict.shop_id, Data=data
            )
        except (ClientError, BotoCoreError) as error:
            raise NotGiven(f"The stream did not take it ({type(error).__name__}).") from error


def giver_of(environment: dict[str, str]) -> Giver | None:
    """A giver for the stream that the settings in `environment` name; None where they name none."""
    stream = environment.get("TILLWATCH_STREAM")
    if not stream:
        return None
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "kinesis",
        region_name=environment.get("TILLWATCH_REGION", "eu-west-1"),
        endpoint_url=environment.get("TILLWATCH_KINESIS_ENDPOINT")
        or environment.get("TILLWATCH_AWS_ENDPOINT"),
        config=Config(
            connect_timeout=CONNECT_SECONDS_MAX,
            read_timeout=READ_SECONDS_MAX,
            retries={"mode": "standard", "max_attempts": ATTEMPTS_MAX},
        ),
    )
    return Giver(client, stream)


def find_page(opensearch: Any, page_id: str) -> Judged | None:
    """The page of that id as OpenSearch has it; None where it has none.

    Raises:
        TransportError of opensearch-py: it cannot be asked.
    """
    answer = opensearch.search(
        index=PAGES,
        body={"size": 1, "query": {"term": {"page_id": page_id}}},
        params={"ignore_unavailable": "true", "allow_no_indices": "true"},
    )
    hits = answer["hits"]["hits"]
    return msgspec.convert(hits[0]["_source"], Judged) if hits else None


@click.command()
@click.argument("page_id")
@click.argument("finding", type=click.Choice(FINDINGS))
@click.option("--note", help=f"For people, {NOTE_MAX} characters at most.")
@click.option("--by", help=f"Who says so, {ID_MAX} characters at most.")
@click.option("--shop", help="The page's shop: with --reason, OpenSearch is not asked.")
@click.option("--reason", help="The page's reason.")
@click.option("--print", "print_only", is_flag=True, help="Print the record; put it nowhere.")
def verdict(
    *,
    page_id: str,
    finding: Finding,
    note: str | None,
    by: str | None,
    shop: str | None,
    reason: str | None,
    print_only: bool,
) -> None:
    """Say of the page PAGE_ID that it was fraud, that it was nothing (ok), or that such refunds are
    how things are done now (policy).

    The verdict goes onto the stream (TILLWATCH_STREAM), so that it is replayed with it. "ok" and
    "policy" make that shop's further pages for the same reason rarer, "fraud" makes them likelier,
    within bounds; the last verdict on a page counts.
    """  # noqa: D205 -- click shows the first sentence whole
    if (shop is None) != (reason is None):
        raise click.UsageError("--shop and --reason go together")
    page = Judged(page_id, shop, reason) if shop and reason else _look_up(page_id)
    said = Verdict(page.page_id, page.shop_id, page.reason, finding, _now(), by, note)
    try:
        if print_only:
            click.echo(wire_verdict(said))
            return
        giver = giver_of(dict(os.environ))
        if giver is None:
            raise click.ClickException("TILLWATCH_STREAM is not set: where is the stream?")
        giver.give(said)
    except (NotGiven, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{page.page_id} ({page.reason}, {page.shop_id}): {finding}", err=True)


def _look_up(page_id: str) -> Judged:
    from sinks import opensearch_client

    url = os.environ.get("TILLWATCH_OPENSEARCH_URL")
    if not url:
        raise click.ClickException(
            "TILLWATCH_OPENSEARCH_URL is not set: name the page's --shop and --reason instead"
        )
    client = opensearch_client.connect(
        url,
        os.environ.get("TILLWATCH_OPENSEARCH_USER"),
        os.environ.get("TILLWATCH_OPENSEARCH_PASSWORD"),
    )
    try:
        page = find_page(client, page_id)
    except opensearch_client.TransportError as error:  # type: ignore[attr-defined] # of the wrapper
        raise click.ClickException(f"OpenSearch does not answer ({type(error).__name__})") from None
    finally:
        client.close()
    if page is None:
        raise click.ClickException(f"OpenSearch has no page {page_id}")
    return page


def _now() -> Instant:
    return time.time_ns() // 1_000
