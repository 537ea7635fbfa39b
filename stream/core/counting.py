"""Amounts in words."""


def counted(number: int | None, word: str, several: str = "") -> str:
    """`1 call`, `1,204 calls`, `? calls` where the number isn't known. several: where an `s` doesn't make the plural."""
    if number == 1:
        return f"1 {word}"
    return f"{'?' if number is None else f'{number:,}'} {several or word + 's'}"
