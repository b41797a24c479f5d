import asyncio

import pytest

from console.cache import Shared


class Counting:
    """Makes its number of calls so far, when told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = asyncio.Event()

    async def make(self) -> int:
        self.calls += 1
        await self.go.wait()
        return self.calls


def test_viewers_at_the_same_time_share_one_call_and_its_answer_for_a_second() -> None:
    async def scene() -> None:
        now = 0.0
        shared = Shared[int](1.0, 3, lambda: now)
        counting = Counting()
        viewers = [asyncio.create_task(shared.get("3h", counting.make)) for _ in range(50)]
        await asyncio.sleep(0)
        now = 5.0  # a slow answer is as fresh as one gets: its second begins when it is there
        counting.go.set()
        assert await asyncio.gather(*viewers) == [1] * 50
        now = 5.9
        assert await shared.get("3h", counting.make) == 1
        now = 6.0
        assert await shared.get("3h", counting.make) == 2

    asyncio.run(scene())


def test_a_failure_is_shared_as_well_and_then_tried_again() -> None:
    async def scene() -> None:
        now = 0.0
        shared = Shared[int](1.0, 3, lambda: now)
        calls = 0

        async def make() -> int:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ConnectionError
            return calls

        for _ in range(3):
            with pytest.raises(ConnectionError):
                await shared.get("3h", make)
        assert calls == 1
        now = 1.0
        assert await shared.get("3h", make) == 2

    asyncio.run(scene())


def test_a_viewer_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    async def scene() -> None:
        shared = Shared[int](1.0, 3, lambda: 0.0)
        counting = Counting()
        leaving = asyncio.create_task(shared.get("3h", counting.make))
        staying = asyncio.create_task(shared.get("3h", counting.make))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        counting.go.set()
        assert await staying == 1

    asyncio.run(scene())


def test_keys_are_bounded_and_the_longest_unused_goes() -> None:
    async def scene() -> None:
        shared = Shared[int](1.0, 2, lambda: 0.0)
        counting = Counting()
        counting.go.set()
        for key in ("a", "b", "a", "c", "a"):
            await shared.get(key, counting.make)
        assert counting.calls == 3
        await shared.get("b", counting.make)
        assert counting.calls == 4

    asyncio.run(scene())
