"""Which of many items no bytes can be made of."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def culprits(
    items: Sequence[Item], build: Callable[[Sequence[Item]], object]
) -> list[tuple[Item, Exception]]:
    """The items that `build` fails for where it gets them alone, each with what it raised.

    `build` must be pure: no call to a service, whose refusal says nothing of an item. Halves until
    the culprits stand alone, so a few of them cost the logarithm, not a run for every item.

    Raises:
        MemoryError: the machine's fault, and no item's.
    """
    if not items:
        return []
    try:
        build(items)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is looked into
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return culprits(items[:middle], build) + culprits(items[middle:], build)
    return []
