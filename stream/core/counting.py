"""Amounts in words."""


def counted(number: int | None, word: str, several: str = "") -> str:
    """`1 call`, `1,204 calls`, `? calls` where unknown. several: the plural, where it takes more than an `s`."""
    if number == 1:
        return f"1 {word}"
    return f"{'?' if number is None else f'{number:,}'} {several or word + 's'}"
