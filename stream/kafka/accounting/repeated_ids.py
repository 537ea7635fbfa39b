"""Request ids that more than one request has: two requests for Kafka, one for whoever sent them. In bounded memory."""

from array import array

_SLOTS = 1 << 18
_FULL = _SLOTS * 7 // 10
LISTED = 100


class RepeatedIds:
    """Remembers the 64-bit hashes of ids (2 MB hold 183,000); later ones are not compared, and `complete` is False.

    The hash is Python's own, keyed anew in each process: nobody can choose ids that collide. names: the first `LISTED`
    that came again. count: how often one did.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _SLOTS))
        self._used = 0
        self.names: list[str] = []
        self.count = 0

    @property
    def complete(self) -> bool:
        """Whether every id was compared with all before it."""
        return self._used < _FULL

    def add(self, request_id: bytes) -> None:
        """Note the id of one more request."""
        wanted = hash(request_id) & 0xFFFF_FFFF_FFFF_FFFF or 1
        place = wanted % _SLOTS
        while (found := self._slots[place]) != 0:
            if found == wanted:
                self._again(request_id)
                return
            place = (place + 1) % _SLOTS
        if self._used < _FULL:
            self._slots[place] = wanted
            self._used += 1

    def _again(self, request_id: bytes) -> None:
        self.count += 1
        if len(self.names) < LISTED:
            name = request_id.decode(errors="replace")
            if name not in self.names:
                self.names.append(name)
