"""One request of a key at a time and in order; no pool starves another."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from stream.core.ordering import KeyOrder, Lanes

keys = st.sampled_from([None, b"a", b"b", b"c"])


def test_the_second_of_a_key_waits_for_the_first() -> None:
    order: KeyOrder[str] = KeyOrder()
    assert order.add(b"a", "first")
    assert not order.add(b"a", "second")
    assert len(order) == 1
    assert order.finished(b"a") == "second"
    assert order.finished(b"a") is None
    assert order.add(b"a", "third")


def test_requests_without_a_key_wait_for_nobody() -> None:
    order: KeyOrder[str] = KeyOrder()
    assert order.add(None, "one")
    assert order.add(None, "two")
    assert order.finished(None) is None
    assert len(order) == 0


@given(st.lists(st.tuples(keys, st.booleans()), max_size=60))
def test_one_of_a_key_at_a_time_and_in_order_whatever_comes_and_ends(steps: list[tuple[bytes | None, bool]]) -> None:
    """Each step: a request of a key comes, or the oldest running one of it ends."""
    order: KeyOrder[int] = KeyOrder()
    running: dict[bytes | None, deque[int]] = {}
    began: dict[bytes | None, list[int]] = {}
    came: dict[bytes | None, list[int]] = {}

    def begin(key: bytes | None, item: int) -> None:
        running.setdefault(key, deque()).append(item)
        began.setdefault(key, []).append(item)
        assert key is None or len(running[key]) == 1

    for number, (key, comes) in enumerate(steps):
        if comes:
            came.setdefault(key, []).append(number)
            if order.add(key, number):
                begin(key, number)
        elif running.get(key):
            running[key].popleft()
            if (following := order.finished(key)) is not None:
                begin(key, following)
    assert len(order) == sum(len(all_) - len(began.get(key, [])) for key, all_ in came.items())
    assert all(began.get(key, []) == all_[: len(began.get(key, []))] for key, all_ in came.items())


def test_within_a_pool_the_longest_waiting_is_first() -> None:
    lanes: Lanes[str] = Lanes()
    for item in ("one", "two"):
        lanes.add("p", item)
    assert [lanes.take("p"), lanes.take("p"), lanes.take("p")] == ["one", "two", None]


def test_what_is_dropped_is_gone_and_the_rest_keeps_its_order() -> None:
    lanes: Lanes[int] = Lanes()
    for number in range(6):
        lanes.add("even" if number % 2 == 0 else "odd", number)
    lanes.drop(lambda number: number in {0, 1, 3, 5})
    assert lanes.pools() == ["even"]
    assert list(lanes.items()) == [2, 4]
    assert len(lanes) == 2


@given(st.lists(st.sampled_from("pqr"), max_size=40))
def test_pools_are_served_in_turn(pools: list[str]) -> None:
    """Taking from the first pool each time, no pool is served twice while another that has requests is not."""
    lanes: Lanes[int] = Lanes()
    for number, pool in enumerate(pools):
        lanes.add(pool, number)
    since: dict[str, int] = dict.fromkeys(pools, 0)
    taken = []
    while lanes:
        pool = lanes.pools()[0]
        item = lanes.take(pool)
        assert item is not None
        assert pools[item] == pool
        taken.append(item)
        waiting = set(lanes.pools())
        since = {each: since[each] + 1 if each != pool else 0 for each in since if each in waiting or each == pool}
        assert all(turns <= 2 for turns in since.values())
    assert sorted(taken) == list(range(len(pools)))
