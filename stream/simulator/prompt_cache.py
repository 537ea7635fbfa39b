"""Which prompts' beginnings a provider has in its cache."""

from stream.simulator.ask import BYTES_PER_TOKEN, CACHEABLE_TOKENS, Ask, byte_count

_CACHED_PREFIXES = 10_000


class PromptCache:
    """Which prefixes have been seen, the latest 10,000."""

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def read_tokens(self, ask: Ask, key: str | None) -> int:
        """Tokens of the ask's prefix if it has been seen, else 0."""
        return _cacheable_tokens(ask) if _mark(ask, key) in self._seen else 0

    def counted(self, ask: Ask, key: str | None) -> tuple[int, int]:
        """Tokens (read, written) of the ask's prefix, which is remembered."""
        tokens, mark = _cacheable_tokens(ask), _mark(ask, key)
        if not tokens or mark in self._seen:
            return tokens, 0
        self._seen[mark] = None
        if len(self._seen) > _CACHED_PREFIXES:
            del self._seen[next(iter(self._seen))]
        return 0, tokens


def _cacheable_tokens(ask: Ask) -> int:
    """Tokens of the prefix, 0 if it is too short to be cached."""
    tokens = byte_count(ask.cache_prefix) // BYTES_PER_TOKEN
    return tokens if tokens >= CACHEABLE_TOKENS else 0


def _mark(ask: Ask, key: str | None) -> int:
    return hash((key, ask.model, ask.cache_prefix))
