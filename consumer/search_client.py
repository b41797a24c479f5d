"""Clients of OpenSearch, made from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinks.opensearch_client import Signing, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.opensearch_settings import OpenSearchSettings


def search_client(settings: OpenSearchSettings, **more: Any) -> Any:
    """A client of the OpenSearch of `settings`; `more` are further arguments of `connect`.

    Raises:
        NoCredentials: requests are to be signed, and there is nothing to sign with.
    """
    password = settings.opensearch_password
    return connect(
        settings.opensearch_url,
        settings.opensearch_user,
        password.get_secret_value() if password else None,
        signing=_signing(settings.opensearch_signing, settings.region),
        ca_bundle=settings.opensearch_ca_bundle,
        **more,
    )


def search_client_of(environ: Mapping[str, str], url: str, **more: Any) -> Any:
    """A client for `url`, with what `environ` says of who asks: for who needs no other setting.

    Raises:
        NoCredentials: requests are to be signed, and there is nothing to sign with.
    """
    bundle = environ.get("TILLWATCH_OPENSEARCH_CA_BUNDLE")
    return connect(
        url,
        environ.get("TILLWATCH_OPENSEARCH_USER"),
        environ.get("TILLWATCH_OPENSEARCH_PASSWORD"),
        signing=_signing(
            environ.get("TILLWATCH_OPENSEARCH_SIGNING"),
            environ.get("TILLWATCH_REGION", "eu-west-1"),
        ),
        ca_bundle=Path(bundle) if bundle else None,
        **more,
    )


def _signing(service: str | None, region: str) -> Signing | None:
    return Signing(service, region) if service else None
