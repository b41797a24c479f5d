"""The parser that the settings describe: what a worker runs, and what judges a corrected record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.pseudonym_keys import pseudonym_keys
from events.instant import SECOND
from events.parse import Parser

if TYPE_CHECKING:
    from consumer.settings import Settings
    from events.pseudonym import Pseudonymizer


def pseudonymizer_of(settings: Settings) -> Pseudonymizer:
    """What card tokens and contact data are replaced by.

    Raises:
        SettingsError: the key lies in a secret that cannot be read.
    """
    return pseudonym_keys(settings).pseudonymizer


def parser_of(settings: Settings) -> Parser:
    """The parser of a worker with these settings. Raises as `pseudonymizer_of`."""
    return Parser(
        pseudonymizer_of(settings),
        required_fields=settings.required_fields,
        future_max=int(settings.future_seconds_max * SECOND),
    )
