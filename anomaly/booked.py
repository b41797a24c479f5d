"""Refunds that are booked while nothing is sold, such as returns by post before the doors open."""

from anomaly.state import RateState

CLOSED_BELOW = 0.08
"""An hour is closed if it has less than this part of the shop's average sales per hour."""

DAILY_KEEPS = 0.985
"""Decay per day of what is sold and taken back at an hour of the day: a memory of two months."""

REFUND_UNIT = 100

NIGHT_HOURS = 5
"""A shop opens with the first transaction after so many hours without one."""

QUIET_DAYS = 1.0
"""Days without such refunds that are supposed of every shop."""


def opening(state: RateState, hour: int) -> int:
    """The hour in which the trade began that `hour` belongs to, the first after `state.hour`.

    Not the calendar's day: by a clock of another time zone midnight may fall into trade. A shop
    without nights opens every 24 hours.
    """
    if hour - state.hour >= NIGHT_HOURS:
        return hour
    return state.opened + (hour - state.opened) // 24 * 24


def booked(state: RateState, hour: int, sales: float, hourly: float) -> float:
    """Refunds usual in `hour` if it is closed, by the day: no share of no sales says how many.

    `sales` are those expected in the hour, `hourly` in any. 0.0 where the shop is open.
    """
    refunds = state.daily_refunds[(hour - state.opened) % 24]
    if not refunds or sales >= CLOSED_BELOW * hourly:
        return 0.0
    days = (1.0 - DAILY_KEEPS ** max((hour - state.first) // 24, 0)) / (1.0 - DAILY_KEEPS)
    return refunds / REFUND_UNIT / (days + QUIET_DAYS)
