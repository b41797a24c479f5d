"""The page that a person speaks of, as OpenSearch has it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from events.page import Entity

PAGES = "pages-*"


class Found(msgspec.Struct, frozen=True):
    """What a verdict or a rule needs to know of its page."""

    page_id: str
    shop_id: str
    reason: str
    entity: Entity


def find_page(opensearch: Any, page_id: str) -> Found | None:
    """The page of that id; None where there is none.

    Raises:
        TransportError of opensearch-py: it cannot be asked.
    """
    answer = opensearch.search(
        index=PAGES,
        body={"size": 1, "query": {"term": {"page_id": page_id}}},
        params={"ignore_unavailable": "true", "allow_no_indices": "true"},
    )
    hits = answer["hits"]["hits"]
    return msgspec.convert(hits[0]["_source"], Found) if hits else None


def look_up(page_id: str, otherwise: str) -> Found:
    """The page of that id, asked for at the command line; `otherwise` says how to do without.

    Raises:
        ClickException: there is none, or OpenSearch is not named or does not answer.
    """
    with opensearch(otherwise) as client:
        page = find_page(client, page_id)
    if page is None:
        raise click.ClickException(f"OpenSearch has no page {page_id}")
    return page


@contextmanager
def opensearch(otherwise: str) -> Iterator[Any]:
    """A client of the OpenSearch that the settings name.

    Raises:
        ClickException: none is named, and `otherwise` says how to do without; or it does not
            answer.
    """
    from consumer.search_client import search_client_of
    from sinks import opensearch_client

    url = os.environ.get("TILLWATCH_OPENSEARCH_URL")
    if not url:
        raise click.ClickException(f"TILLWATCH_OPENSEARCH_URL is not set: {otherwise}")
    client = search_client_of(os.environ, url)
    try:
        yield client
    except opensearch_client.TransportError as error:  # type: ignore[attr-defined] # of the wrapper
        raise click.ClickException(f"OpenSearch does not answer ({type(error).__name__})") from None
    finally:
        client.close()
