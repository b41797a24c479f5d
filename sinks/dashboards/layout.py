"""Panels in rows: a dashboard. Pure."""

from collections.abc import Sequence

import msgspec

from sinks.dashboards.saved_object import PREFIX, Json, Reference, SavedObject, asked, compact

WIDTH = 48
"""Columns of Dashboards' grid."""
_PANEL_VERSION = "7.9.3"


class Panel(msgspec.Struct, frozen=True):
    """One object on a dashboard, so many columns wide.

    `always` is a time range of its own, over that of the dashboard, such as "now-30d".
    """

    shown: SavedObject
    width: int
    always: str | None = None


class Row(msgspec.Struct, frozen=True):
    """Panels side by side, all of one height."""

    height: int
    panels: tuple[Panel, ...]


def dashboard(
    id_: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    since: str,
    refresh_seconds: int,
) -> SavedObject:
    """The rows, one below the other; it opens on the time from `since` to now.

    Raises:
        ValueError: a row is wider than the grid.
    """
    panels: list[Json] = []
    references: list[Reference] = []
    top = 0
    for row in rows:
        left = 0
        for panel in row.panels:
            place = len(panels)
            name = f"panel_{place}"
            panels.append(
                {
                    "embeddableConfig": _own_time(panel),
                    "gridData": {
                        "h": row.height,
                        "i": str(place + 1),
                        "w": panel.width,
                        "x": left,
                        "y": top,
                    },
                    "panelIndex": str(place + 1),
                    "panelRefName": name,
                    "version": _PANEL_VERSION,
                }
            )
            references.append(Reference(name, panel.shown.type, panel.shown.id))
            left += panel.width
        if left > WIDTH:
            raise ValueError(f"a row of {title} is {left} columns wide, of {WIDTH}")
        top += row.height
    attributes = {
        "title": title,
        "description": description,
        "hits": 0,
        "kibanaSavedObjectMeta": {"searchSourceJSON": compact(asked(""))},
        "optionsJSON": compact({"hidePanelTitles": False, "useMargins": True}),
        "panelsJSON": compact(panels),
        "refreshInterval": {"pause": refresh_seconds == 0, "value": refresh_seconds * 1_000},
        "timeFrom": since,
        "timeRestore": True,
        "timeTo": "now",
        "version": 1,
    }
    return SavedObject(f"{PREFIX}{id_}", "dashboard", attributes, tuple(references))


def _own_time(panel: Panel) -> Json:
    if panel.always is None:
        return {}
    return {"timeRange": {"from": panel.always, "to": "now"}}
