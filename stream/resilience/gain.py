"""What 429s teach of a quota where headers say nothing of it, or not all. No clock: callers pass the time."""

from typing import NamedTuple

LEAST_GAIN = 0.05
CUT = 0.7
RETURN_S = 6.0
HOLD_S = 1.0
LONGEST_HOLD_S = 5.0
REMEMBERED_S = 60.0


class Lesson(NamedTuple):
    """A 429, as workers tell it to each other. gain: what was sent when it came. age_s: how long ago that was."""

    gain: float
    age_s: float


class Gain:
    """The part of the limit that 429s leave: 0.05 ≤ gain ≤ 1.

    A 429 takes 30 %. In 6 s the gain returns to where it was, stays about there, and leaves it ever faster: the cubic
    curve of TCP CUBIC (RFC 9438, section 4.2). It uses nine tenths of a quota and more, and finds a larger one within
    half a minute. More 429s within a second (as long as one asks to wait, up to 5 s) are the same news.
    """

    __slots__ = ("_deaf_until_s", "_gain", "_learned_s")

    def __init__(self) -> None:
        self._gain = 1.0
        self._learned_s = -float("inf")
        self._deaf_until_s = -float("inf")

    def at(self, now_s: float) -> float:
        """The gain now."""
        elapsed_s = now_s - self._learned_s
        if elapsed_s > REMEMBERED_S:
            return 1.0
        x = max(0.0, elapsed_s) / RETURN_S - 1
        return max(LEAST_GAIN, min(1.0, self._gain * (1 + (1 - CUT) * x**3)))

    def cut(self, now_s: float, retry_after_s: float | None = None) -> bool:
        """A 429 came: true if that was news."""
        if now_s < self._deaf_until_s:
            return False
        self._gain = self.at(now_s)
        self._learned_s = now_s
        self._deaf_until_s = now_s + min(LONGEST_HOLD_S, max(HOLD_S, retry_after_s or 0.0))
        return True

    def lesson(self, now_s: float) -> Lesson | None:
        """What others may learn; None if the last 429 is a minute past."""
        age_s = now_s - self._learned_s
        return Lesson(self._gain, max(0.0, age_s)) if age_s <= REMEMBERED_S else None

    def learn(self, lesson: Lesson, now_s: float) -> None:
        """Another worker's 429, if it is newer than the last one known here: else each would need its own."""
        learned_s = now_s - lesson.age_s
        if learned_s > self._learned_s:
            self._gain = max(LEAST_GAIN, min(1.0, lesson.gain))
            self._learned_s = learned_s
            self._deaf_until_s = max(self._deaf_until_s, learned_s + HOLD_S)
