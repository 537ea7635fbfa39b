"""What a group's commit claims to be finished: read here from the contract alone, not by the worker's own code.

The layout after `ls1.`: base64 of big-endian crc32 (4 bytes, of the rest), topic hash (8, of the SHA-256 of the topic
id, or of the name where ids are unknown), base (8), epoch (4), bits (lowest first, trailing zero bytes cut).
"""

import base64
import binascii
import hashlib
import zlib
from dataclasses import dataclass
from typing import Literal

Fault = Literal["no_commit", "no_map", "damaged", "newer", "other_topic", "mirrored", "unread"]
"""Why a commit isn't one of ours. `unread`: a transaction held it for longer than we waited."""

_BELIEVED: frozenset[Fault | None] = frozenset({None, "no_map"})
_LEAST_BODY_BYTES = 20


@dataclass(frozen=True, slots=True)
class Claim:
    """A commit. `offset`: the group's committed offset, None if it has none or it couldn't be read.

    marks: the done-map's bits, the lowest standing for `offset`. epoch: the highest leader epoch the map has seen, -1
    if unknown. fault: None for a commit with a map of ours.
    """

    offset: int | None
    marks: int = 0
    epoch: int = -1
    fault: Fault | None = None

    def finished(self, offset: int, leader_epoch: int | None = None) -> bool:
        """Whether the commit says that this record is done. A mark doesn't hold for a record of a later epoch."""
        if self.offset is None or self.fault not in _BELIEVED:
            return False
        if offset < self.offset:
            return True
        newer = leader_epoch is not None and -1 < self.epoch < leader_epoch
        return not newer and bool(self.marks >> (offset - self.offset) & 1)


def claim(committed: int | None, metadata: str | None, topic: str, topic_id: str | None) -> Claim:
    """What a commit says. topic_id: as the topic is now; None if the broker knows no ids (nothing is compared then)."""
    if committed is None:
        return Claim(None, fault="no_commit")
    if metadata is None or not metadata.startswith("ls") or "." not in metadata[:8]:
        return Claim(committed, fault="no_map")
    version, _, text = metadata.partition(".")
    if version != "ls1":
        return Claim(committed, fault="newer")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Claim(committed, fault="damaged")
    body = raw[4:]
    if len(body) < _LEAST_BODY_BYTES or zlib.crc32(body) != int.from_bytes(raw[:4], "big"):
        return Claim(committed, fault="damaged")
    known = {hashlib.sha256(name.encode()).digest()[:8] for name in (topic_id, topic) if name}
    if topic_id is not None and body[:8] not in known:
        return Claim(committed, fault="other_topic")
    if int.from_bytes(body[8:16], "big") != committed:
        return Claim(committed, fault="mirrored")
    epoch = int.from_bytes(body[16:20], "big", signed=True)
    return Claim(committed, int.from_bytes(body[20:], "little"), epoch)
