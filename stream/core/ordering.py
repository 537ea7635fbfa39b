"""Which requests may start: one of a key at a time, first come first served within each pool.

`KeyOrder` holds back what must wait for its key; `Lanes` holds what is ready, per pool, until there is room.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyOrder(Generic[T]):
    """One partition's keys: at most one request of a key is ready or running at a time; None is unordered."""

    def __init__(self) -> None:
        self._behind: dict[bytes, deque[T]] = {}

    def add(self, key: bytes | None, item: T) -> bool:
        """Note a request; True if it is ready at once, False if it waits for its key."""
        if key is None:
            return True
        queue = self._behind.get(key)
        if queue is None:
            self._behind[key] = deque()
            return True
        queue.append(item)
        return False

    def finished(self, key: bytes | None) -> T | None:
        """Note that the running request of a key is finished; the next one of the key, now ready, if there is one."""
        if key is None:
            return None
        queue = self._behind[key]
        if queue:
            return queue.popleft()
        del self._behind[key]
        return None

    def __len__(self) -> int:
        """How many wait for their key."""
        return sum(len(queue) for queue in self._behind.values())


class Lanes(Generic[T]):
    """Ready requests, a queue per pool, served in turn so that no pool starves another."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[T]] = {}

    def add(self, pool: str, item: T) -> None:
        """Put a ready request at the end of its pool's queue."""
        self._lanes.setdefault(pool, deque()).append(item)

    def take(self, pool: str, *, newest: bool = False) -> T | None:
        """The request that is longest in the pool's queue, or shortest, taken out; None if there is none."""
        lane = self._lanes.get(pool)
        if not lane:
            return None
        item = lane.pop() if newest else lane.popleft()
        if lane:
            self._lanes[pool] = self._lanes.pop(pool)
        else:
            del self._lanes[pool]
        return item

    def pools(self) -> list[str]:
        """The pools that have ready requests, the one served longest ago first."""
        return list(self._lanes)

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget the requests of which `unwanted` is true."""
        for pool, lane in list(self._lanes.items()):
            kept = deque(item for item in lane if not unwanted(item))
            if kept:
                self._lanes[pool] = kept
            else:
                del self._lanes[pool]

    def items(self) -> Iterable[T]:
        """All ready requests."""
        return (item for lane in self._lanes.values() for item in lane)

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())
