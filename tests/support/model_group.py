"""A model of a consumer group's coordinator: members, generations, cooperative rebalances, session time-outs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError

from stream.kafka.assignment import TopicPartition
from tests.support.simulated_time import World

SESSION_S = 6.0
REBALANCE_S = 60.0

Joined = Callable[[str, int, list[TopicPartition]], None]
"""Told a member's id, the generation and what it is assigned."""


class Refused(Exception):  # noqa: N818  (the broker's answer, not a defect)
    """The broker's error code to a request."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(eq=False)
class _Member:
    id: str
    seen_at_s: float
    owned: frozenset[TopicPartition] = frozenset()
    joining: Joined | None = None


@dataclass(frozen=True)
class Change:
    """At this moment a partition's owner, as the coordinator sees it, changed."""

    at_s: float
    partition: TopicPartition
    member: str | None


class Group:
    """See the module. A member that is assigned more than it owned gets nothing that another still owns.

    lenient: a member's commit is taken whatever its generation, as KIP-848 may do: then only the member itself can see
    to it that nothing of a partition it gave back is committed.
    """

    def __init__(self, world: World, partitions: Iterable[TopicPartition]) -> None:
        self.world = world
        self.partitions = sorted(partitions)
        self.up = True
        self.lenient = False
        self.generation = 0
        self.members: dict[str, _Member] = {}
        self.owners: dict[TopicPartition, str] = {}
        self.changes: list[Change] = []
        self._preparing = False
        self._round = 0
        self._numbers = 0

    def join(self, member_id: str, owned: Iterable[TopicPartition], joined: Joined) -> None:
        """Ask for a place in the next generation; answered when everybody has, or was given up."""
        if member_id and member_id not in self.members:
            raise Refused(KafkaError.UNKNOWN_MEMBER_ID)
        if not member_id:
            self._numbers += 1
            member_id = f"member-{self._numbers}"
            self.members[member_id] = _Member(member_id, self.world.now_s)
            self._watch(self.members[member_id])
        member = self.members[member_id]
        member.seen_at_s = self.world.now_s
        member.owned, member.joining = frozenset(owned), joined
        self._prepare()
        self._complete_if_ready()

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Say that a member lives. Raises Refused: it doesn't know us any more, or should join again."""
        self._check(member_id, generation)
        self.members[member_id].seen_at_s = self.world.now_s
        if self._preparing:
            raise Refused(KafkaError.REBALANCE_IN_PROGRESS)

    def check_commit(self, member_id: str, generation: int) -> None:
        """Raises Refused for a member or a generation that must not commit."""
        self._check(member_id, self.generation if self.lenient else generation)

    def _check(self, member_id: str, generation: int) -> None:
        if member_id not in self.members:
            raise Refused(KafkaError.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(KafkaError.ILLEGAL_GENERATION)

    def leave(self, member_id: str) -> None:
        """A member goes."""
        if self.members.pop(member_id, None) is not None:
            self._disown(member_id)
            if self.members:
                self._prepare()
                self._complete_if_ready()

    def rebalance(self) -> None:
        """Have everybody join again, for no reason."""
        if self.members:
            self._prepare()

    def _watch(self, member: _Member) -> None:
        """Expel a member that was not seen for the session time-out, unless it waits for the others to join."""

        def look() -> None:
            if self.members.get(member.id) is not member:
                return
            if not self.up or member.joining is not None:
                member.seen_at_s = self.world.now_s
            left_s = member.seen_at_s + SESSION_S - self.world.now_s
            if left_s > 0:
                self.world.after(left_s, look)
            else:
                self.leave(member.id)

        self.world.after(SESSION_S, look)

    def _prepare(self) -> None:
        if not self._preparing:
            self._preparing = True
            self._round += 1
            current = self._round
            self.world.after(REBALANCE_S, lambda: self._give_up_on_the_late(current))

    def _give_up_on_the_late(self, round_: int) -> None:
        if self._preparing and self._round == round_:
            for member in [m for m in self.members.values() if m.joining is None]:
                self.leave(member.id)
            self._complete_if_ready()

    def _complete_if_ready(self) -> None:
        if not self._preparing or any(m.joining is None for m in self.members.values()) or not self.members:
            return
        self._preparing = False
        self.generation += 1
        wanted = self._shares()
        owned_by = {p: m.id for m in self.members.values() for p in m.owned}
        for member in list(self.members.values()):
            given = [p for p in wanted[member.id] if owned_by.get(p, member.id) == member.id]
            for partition in given:
                self._own(partition, member.id)
            joined, member.joining = member.joining, None
            member.seen_at_s = self.world.now_s
            if joined is not None:
                joined(member.id, self.generation, given)

    def _shares(self) -> dict[str, list[TopicPartition]]:
        """Sticky and even: who owned a partition keeps it while that isn't more than a fair share."""
        members = list(self.members.values())
        least, more = divmod(len(self.partitions), len(members))
        shares: dict[str, list[TopicPartition]] = {m.id: [] for m in members}
        claimed: set[TopicPartition] = set()
        for member in members:
            room = least + (1 if more > 0 else 0)
            kept = [p for p in sorted(member.owned) if p not in claimed][:room]
            more -= len(kept) > least
            shares[member.id] = kept
            claimed.update(kept)
        for partition in self.partitions:
            if partition not in claimed:
                poorest = min(members, key=lambda m: len(shares[m.id]))
                shares[poorest.id].append(partition)
        return shares

    def _own(self, partition: TopicPartition, member_id: str) -> None:
        if self.owners.get(partition) != member_id:
            self.owners[partition] = member_id
            self.changes.append(Change(self.world.now_s, partition, member_id))

    def _disown(self, member_id: str) -> None:
        for partition, owner in list(self.owners.items()):
            if owner == member_id:
                del self.owners[partition]
                self.changes.append(Change(self.world.now_s, partition, None))
