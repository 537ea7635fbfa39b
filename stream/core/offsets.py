"""Which offsets of a partition are finished, and what a commit may say about them.

Requests finish out of order, so a committed offset alone would re-run finished work after a crash. The offset's
*metadata* therefore carries a done-map: which later offsets are finished too.

Invariants: a map's base never passes an unfinished offset; a map marks only outcomes that its own attempt publishes or
that an acknowledged attempt published before, and offsets known to hold no record; after `OffsetTracker(map)` every
offset the map marks is skipped. No I/O, no clock: callers pass what they know.

Layout (a contract): `ls1.` + base64 of big-endian crc32 (4 bytes, of the rest), topic hash (8), base (8), epoch (4,
signed, -1: unknown), bits (lowest first, trailing zero bytes cut). 16,384 bits make 2.8 KB; brokers take 4,096.
"""

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

WINDOW = 16_384
"""Nothing at or past the committed base + WINDOW is started, so a map never needs more bits."""

UNKNOWN_EPOCH = -1

_PREFIX = "ls1."
_FAMILY = "ls"
_FIXED = struct.Struct(">8sqi")


class MapFault(StrEnum):
    """Why a commit's metadata can't be believed."""

    FOREIGN = "foreign"
    DAMAGED = "damaged"
    OTHER_TOPIC = "other_topic"
    MIRRORED = "mirrored"
    NEWER = "newer"


class MapError(ValueError):
    """A commit's metadata is not a done-map of this offset; `fault` says how."""

    def __init__(self, fault: MapFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True, slots=True)
class DoneMap:
    """What is finished: everything below `base`, and each offset `base + i` whose bit i is set.

    epoch: the highest leader epoch among the records marked so far; -1 if unknown.
    """

    base: int
    bits: int = 0
    epoch: int = UNKNOWN_EPOCH

    def __contains__(self, offset: int) -> bool:
        return offset < self.base or bool(self.bits >> (offset - self.base) & 1)

    @property
    def end(self) -> int:
        """The offset behind the last that is finished."""
        return self.base + self.bits.bit_length()

    def cut(self, offset: int) -> "DoneMap":
        """The map of a log that ends at an offset: without what it says of that offset and of later ones."""
        if offset <= self.base:
            return replace(self, base=offset, bits=0)
        return replace(self, bits=self.bits & ((1 << (offset - self.base)) - 1))

    def advanced_to(self, base: int) -> "DoneMap":
        """The same map seen from a later base: what lies below it counts as finished."""
        return self if base <= self.base else replace(self, base=base, bits=self.bits >> (base - self.base)).settled()

    def settled(self) -> "DoneMap":
        """The map with its base moved over everything finished: bit 0 of the answer is never set."""
        ones = trailing_ones(self.bits)
        return self if ones == 0 else replace(self, base=self.base + ones, bits=self.bits >> ones)


def trailing_ones(bits: int) -> int:
    """How many of the lowest bits are set in a row."""
    return (~bits & (bits + 1)).bit_length() - 1


def topic_hash(topic_id: str | None, topic: str) -> bytes:
    """Eight bytes that stand for a topic's identity; of its name where the broker knows no ids (the mock cluster)."""
    return hashlib.sha256((topic_id or topic).encode()).digest()[:8]


def encode_map(done: DoneMap, topic: bytes) -> str:
    """The map as commit metadata, at most 2,800 characters for `WINDOW` bits.

    Raises OverflowError for a map wider than WINDOW: it could not be committed.
    """
    if done.bits.bit_length() > WINDOW:
        raise OverflowError(f"a done-map of {done.bits.bit_length()} bits is wider than the window of {WINDOW}")
    bits = done.bits.to_bytes((done.bits.bit_length() + 7) // 8, "little")
    body = _FIXED.pack(topic, done.base, done.epoch) + bits
    return _PREFIX + base64.b64encode(struct.pack(">I", zlib.crc32(body)) + body).decode()


def decode_map(metadata: str | None, committed_offset: int, topic: bytes) -> DoneMap:
    """The done-map in a commit's metadata.

    committed_offset: the offset it was committed with. topic: `topic_hash` of the topic as it is now.
    Raises MapError.
    """
    if not metadata or not metadata.startswith(_FAMILY) or "." not in metadata[:8]:
        raise MapError(MapFault.FOREIGN, "the commit carries no done-map of ours")
    if not metadata.startswith(_PREFIX):
        raise MapError(MapFault.NEWER, f"the done-map is of another version ({metadata[:8]!r})")
    try:
        raw = base64.b64decode(metadata[len(_PREFIX) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise MapError(MapFault.DAMAGED, "the done-map is not base64") from error
    if len(raw) < 4 + _FIXED.size or zlib.crc32(raw[4:]) != int.from_bytes(raw[:4], "big"):
        raise MapError(MapFault.DAMAGED, "the done-map's checksum is wrong")
    hashed, base, epoch = _FIXED.unpack_from(raw, 4)
    if hashed != topic:
        raise MapError(MapFault.OTHER_TOPIC, "the done-map belongs to another topic, or to one deleted since")
    if base != committed_offset:
        detail = (
            f"the done-map was made for offset {base}, but was committed with {committed_offset} (a mirrored offset?)"
        )
        raise MapError(MapFault.MIRRORED, detail)
    return DoneMap(base, int.from_bytes(raw[4 + _FIXED.size :], "little"), epoch)


class Delivery(Enum):
    """What to do with a record that was just read."""

    RUN = "run"
    SKIP = "skip"
    TRUNCATED = "truncated"
    """The log was cut and written anew below what we had read: start this partition over."""


class OffsetTracker:
    """One partition, from its assignment to its revocation: what was read, and what is committed.

    One attempt at a time: `plan` says what it would commit, `acknowledge` that it did.

    Offsets passed over while reading should hold no record: transaction markers (one offset each), aborted
    transactions, compaction. A single one is believed; a longer gap counts as finished only once `prove` says that
    somebody else looked (`unproven`), for a reader that skips must never turn into records that are lost.
    """

    def __init__(self, committed: DoneMap) -> None:
        self.committed = committed
        self.position = committed.base
        self.unproven: set[tuple[int, int]] = set()
        """Gaps nobody has confirmed: from an offset up to, not including, another."""
        self._epoch = UNKNOWN_EPOCH
        self._cut_at: int | None = None
        """Where marks were taken back since the latest plan."""
        self._gaps: list[tuple[int, int]] = []

    @property
    def window_end(self) -> int:
        """The first offset that must not be started yet."""
        return self.committed.base + WINDOW

    def delivered(self, offset: int, leader_epoch: int | None) -> Delivery:
        """Note a record read from Kafka, in offset order, and say whether it must be run."""
        epoch = UNKNOWN_EPOCH if leader_epoch is None else leader_epoch
        if offset < self.position:
            newer = UNKNOWN_EPOCH < self._epoch < epoch
            return Delivery.TRUNCATED if newer else Delivery.SKIP
        self.passed(offset)
        self.position = offset + 1
        self._epoch = max(self._epoch, epoch)
        if offset < self.committed.end and UNKNOWN_EPOCH < self.committed.epoch < epoch:
            # Epochs never fall along a log: what the map says from here on was cut off with the old one. Its base may
            # have passed this offset, by marks of what was never read again: then it falls back.
            self._cut_at = offset if self._cut_at is None else min(self._cut_at, offset)
            self.committed = self.committed.cut(offset)
        return Delivery.SKIP if offset in self.committed else Delivery.RUN

    def passed(self, offset: int) -> None:
        """Note that reading has come to `offset` without a record in between."""
        if offset == self.position + 1:
            self._gaps.append((self.position, offset))
        elif offset > self.position:
            self.unproven.add((self.position, offset))
        self.position = max(self.position, offset)

    def prove(self, gap: tuple[int, int]) -> None:
        """Note that an unproven gap holds no record indeed: it counts as finished from now on."""
        self.unproven.remove(gap)
        self._gaps.append(gap)
        self._gaps.sort()

    def plan(self, outcomes: Iterable[tuple[int, int | None]]) -> DoneMap:
        """The map an attempt with these outcomes, (offset, leader epoch) each, would commit.

        The latest plan is the one that may be acknowledged.
        """
        self._cut_at = None
        base, bits, epoch = self.committed.base, self.committed.bits, self.committed.epoch
        for offset, leader_epoch in outcomes:
            bits |= 1 << (offset - base)
            if leader_epoch is not None and leader_epoch > epoch:
                epoch = leader_epoch
        single = bytearray(WINDOW // 8)  # an upstream of small transactions leaves one marker in every few offsets
        wide = []
        for start, end in self._gaps:
            place = start - base
            if end - start == 1 and 0 <= place < WINDOW:
                single[place >> 3] |= 1 << (place & 7)
            else:
                wide.append((start, end))
        done = DoneMap(base, bits | int.from_bytes(single, "little"), epoch).settled()
        for start, end in wide:
            if start <= done.base < end:
                done = done.advanced_to(end).settled()
            elif start > done.base:
                first, last = start - done.base, min(end - done.base, WINDOW)
                if first < last:
                    done = replace(done, bits=done.bits | ((1 << last) - (1 << first)))
        return done.settled()

    def acknowledge(self, done: DoneMap) -> None:
        """An attempt that committed this map went through."""
        self.committed = done if self._cut_at is None else done.cut(self._cut_at)
        self._gaps = [gap for gap in self._gaps if gap[1] > done.base]
