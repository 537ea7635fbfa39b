"""A set of offsets at one bit each. Memory follows the ranges touched: 8 KiB for each 65,536 offsets."""

from collections.abc import Iterator

_SHIFT = 16
_MASK = (1 << _SHIFT) - 1
_CHUNK_BYTES = (1 << _SHIFT) // 8
_CHUNK_OF_ZEROS = bytes(_CHUNK_BYTES)


class OffsetSet:
    """Offsets ≥ 0. 100 million neighbours take 12.5 MB."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}

    def add(self, offset: int) -> bool:
        """Put an offset in. True if it was not there yet."""
        chunk = self._chunks.get(offset >> _SHIFT)
        if chunk is None:
            chunk = self._chunks[offset >> _SHIFT] = bytearray(_CHUNK_BYTES)
        place, bit = (offset & _MASK) >> 3, 1 << (offset & 7)
        if chunk[place] & bit:
            return False
        chunk[place] |= bit
        return True

    def discard(self, offset: int) -> bool:
        """Take an offset out. True if it was there."""
        chunk = self._chunks.get(offset >> _SHIFT)
        if chunk is None:
            return False
        place, bit = (offset & _MASK) >> 3, 1 << (offset & 7)
        if not chunk[place] & bit:
            return False
        chunk[place] ^= bit
        return True

    def __contains__(self, offset: int) -> bool:
        chunk = self._chunks.get(offset >> _SHIFT)
        return chunk is not None and bool(chunk[(offset & _MASK) >> 3] & 1 << (offset & 7))

    def __len__(self) -> int:
        return sum(int.from_bytes(chunk, "little").bit_count() for chunk in self._chunks.values())

    def __iter__(self) -> Iterator[int]:
        """Ascending."""
        for number in sorted(self._chunks):
            yield from self._of_chunk(number)

    def between(self, start: int, end: int) -> Iterator[int]:
        """Those with start ≤ offset < end, ascending."""
        for number in sorted(self._chunks):
            if (number + 1) << _SHIFT > start and number << _SHIFT < end:
                yield from (offset for offset in self._of_chunk(number) if start <= offset < end)

    def count(self, start: int, end: int) -> int:
        """How many of them are in start ≤ offset < end."""
        found = 0
        for number, chunk in self._chunks.items():
            first, stop = max(start - (number << _SHIFT), 0), min(end - (number << _SHIFT), _MASK + 1)
            if first < stop:
                bits = int.from_bytes(chunk, "little") >> first & (1 << stop - first) - 1
                found += bits.bit_count()
        return found

    def _of_chunk(self, number: int) -> Iterator[int]:
        chunk = self._chunks[number]
        if chunk == _CHUNK_OF_ZEROS:
            return
        for place, byte in enumerate(chunk):
            while byte:
                lowest = byte & -byte
                yield (number << _SHIFT) + (place << 3) + lowest.bit_length() - 1
                byte ^= lowest
