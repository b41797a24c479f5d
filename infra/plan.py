"""What a deployment is made after: the values of CDK's context that begin with `tillwatch:`.

Everything is read and checked once, here, before anything is made of it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from consumer.settings import SHADOW_NAME
from infra.worker_settings import Declared, declared

PREFIX: Final = "tillwatch:"
SETTING: Final = "setting."
"""Behind the prefix: a setting of the worker, in lower case, as docs/settings.md names it."""
ON_DEMAND: Final = "on-demand"

_IMAGE = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]*)(?P<version>:[\w][\w.-]*|@sha256:[0-9a-f]{64})"
)


class PlanError(Exception):
    """The context cannot be used; the message lists every fault at once."""


class Image(msgspec.Struct, frozen=True):
    """A container image in ECR; `version` is its tag or its digest."""

    account: str
    region: str
    repository: str
    version: str


class Plan(msgspec.Struct, frozen=True):
    """One deployment. Sizes are in the unit that the name says."""

    account: str
    image: Image
    settings: Declared
    chosen: frozenset[str]
    """Names of the settings that somebody chose; the rest are the worker's own defaults."""
    zones: tuple[str, ...]
    shards: int | None
    """None: as many as Kinesis thinks right."""
    workers: int
    worker_cpu: int
    worker_mib: int
    search_instance: str
    search_nodes: int
    search_gib: int
    athena_scan_gib: int
    dead_letters_usual: int
    page_emails: tuple[str, ...]
    alarm_emails: tuple[str, ...]
    archive_key_secret: str | None
    archive_keys_old_secret: str | None
    shadow: str | None
    shadow_detector: str | None
    """The file of what the shadow runs with otherwise, as JSON."""

    @property
    def application(self) -> str:
        """What everything is named after."""
        return self.settings.application

    @property
    def region(self) -> str:
        """Where everything is."""
        return self.settings.region

    @property
    def shards_min(self) -> int:
        """Shards that the stream has at least: one on demand begins with four."""
        return 4 if self.shards is None else self.shards


def read(context: Mapping[str, Any]) -> Plan:
    """The plan that `context` speaks of; keys without our prefix are others' business.

    Raises:
        PlanError: one line per value that is missing, wrong or unknown.
    """
    given = {
        name.removeprefix(PREFIX): str(value)
        for name, value in context.items()
        if name.startswith(PREFIX)
    }
    chosen = {
        name.removeprefix(SETTING): given.pop(name)
        for name in list(given)
        if name.startswith(SETTING)
    }
    faults = [f"{PREFIX}{name}: there is no such value" for name in given.keys() - KNOWN.keys()]
    values: dict[str, Any] = {}
    for name, (kind, default, _) in KNOWN.items():
        try:
            values[name] = kind(given.get(name, default or ""))
        except ValueError as error:
            faults.append(f"{PREFIX}{name}: {error}")
    try:
        settings = declared(chosen)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            where = ".".join(str(part) for part in fault["loc"])
            faults.append(f"{PREFIX}{SETTING}{where}: {fault['msg']}")
        raise PlanError("\n".join(sorted(faults))) from None
    zones = values.get("zones") or tuple(f"{settings.region}{letter}" for letter in "abc")
    if values.get("search_nodes", 0) >= len(zones) or values.get("search_nodes") == 1:
        values["zones"] = zones
    else:
        faults.append(f"{PREFIX}search_nodes: there must be one in each of {len(zones)} zones")
    if (values.get("shadow") is None) != (values.get("shadow_detector") is None):
        faults.append(f"{PREFIX}shadow: it and shadow_detector go together")
    if faults:
        raise PlanError("\n".join(sorted(faults)))
    return Plan(settings=settings, chosen=frozenset(chosen), **values)


def _account(text: str) -> str:
    if not re.fullmatch(r"[0-9]{12}", text):
        raise ValueError("an account has 12 digits")
    return text


def _image(text: str) -> Image:
    found = _IMAGE.fullmatch(text)
    if found is None:
        raise ValueError("it must be in ECR, with a tag or a digest: nothing else is reached")
    return Image(**found.groupdict())


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _zones(text: str) -> tuple[str, ...]:
    zones = _list(text)
    if zones and len(zones) not in {2, 3}:
        raise ValueError("two or three, please")
    return zones


def _shards(text: str) -> int | None:
    return None if text == ON_DEMAND else _from(1)(text)


def _from(least: int, *, step: int = 1) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or int(text) < least or int(text) % step:
            more = f", and a multiple of {step}" if step > 1 else ""
            raise ValueError(f"it must be a number, {least} or more{more}")
        return int(text)

    return number


def _nodes(text: str) -> int:
    number = _from(1)(text)
    if number != 1 and number % 3:
        raise ValueError("one for a trial, else a multiple of three: two nodes cannot outvote one")
    return number


def _secret(text: str) -> str | None:
    if text and not re.fullmatch(r"arn:aws:secretsmanager:[\w-]+:\d{12}:secret:.+-\w{6}", text):
        raise ValueError("it must be the whole ARN of a secret")
    return text or None


def _shadow(text: str) -> str | None:
    if text and not re.fullmatch(SHADOW_NAME, text):
        raise ValueError("small letters, digits and hyphens, 32 at most")
    return text or None


def _detector(text: str) -> str | None:
    if not text:
        return None
    try:
        msgspec.json.decode(text, type=dict[str, object])
    except msgspec.DecodeError:
        raise ValueError("it must be a JSON object") from None
    return text


KNOWN: Final[dict[str, tuple[Callable[[str], Any], str | None, str]]] = {
    "account": (_account, None, "AWS account, 12 digits."),
    "image": (_image, None, "Image of the worker in ECR, with a tag or better a digest."),
    "zones": (_zones, "", "Availability zones; the region's a, b and c unless said otherwise."),
    "shards": (_shards, "2", "Shards of the stream, or `on-demand`."),
    "workers": (_from(1), "2", "Tasks that share the shards."),
    "worker_cpu": (_from(256), "1024", "CPU units of a task; 1,024 are one."),
    "worker_mib": (_from(2048, step=1024), "4096", "Memory of a task."),
    "search_instance": (str, "r7g.large.search", "Kind of OpenSearch's nodes."),
    "search_nodes": (_nodes, "3", "OpenSearch's nodes: 1 for a trial, else a multiple of 3."),
    "search_gib": (_from(10), "100", "Disk of each of these nodes."),
    "athena_scan_gib": (_from(1), "10", "What one question of Athena's may read."),
    "dead_letters_usual": (_from(0), "0", "Dead letters that may lie in the queue unalarmed."),
    "page_emails": (_list, "", "Addresses that pages are sent to."),
    "alarm_emails": (_list, "", "Addresses that alarms are sent to."),
    "archive_key_secret": (_secret, "", "ARN of the secret with the raw archive's key, if any."),
    "archive_keys_old_secret": (_secret, "", "ARN of the secret with the keys before it, if any."),
    "shadow": (_shadow, "", "Name of a shadow to run beside the workers, if any."),
    "shadow_detector": (_detector, "", "What that runs with otherwise, a JSON object as text."),
}
"""By name: how it is read, what it is where nobody says (None: somebody has to), what it means."""
