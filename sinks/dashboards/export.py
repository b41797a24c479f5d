"""Everything that is imported into Dashboards, in one order: what is referred to goes first."""

from sinks.dashboards import live, operations, shop
from sinks.dashboards.patterns import PATTERNS
from sinks.dashboards.saved_object import SavedObject, ndjson


def objects() -> tuple[SavedObject, ...]:
    """All saved objects, the index patterns first, the dashboards behind what they show."""
    return (*PATTERNS, *live.OBJECTS, *shop.OBJECTS, *operations.OBJECTS)


def export() -> bytes:
    """The file that `tillwatch dashboards export` writes; the same bytes whenever it is asked."""
    return ndjson(objects())
