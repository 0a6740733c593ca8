"""How long nothing has come from a parent, and when that is suspect: the clocks behind parent.py.

It advances by at most 30 ms a look, so that a process that was asleep itself suspects nobody. Pure.
"""

from mcast.media.timing import Timing

MAX_STEP = 0.03
"""Seconds by which a look advances the clock at most: the receiver looks every 20 ms."""
GAP_MEMORY = 10.0
"""Seconds for which the longest gap is remembered, at least."""
MAX_RHYTHM = 0.5
"""Seconds: what is longer is no rhythm but a failure that has passed."""
SIGN_ANSWERS = 2.0
"""The first sign of a parent may take so many times what its answer took, which was a round trip at least: a
hello and what it leads to take another one, and some hellos may be lost. But no longer than a parent awaits
a hello: an answer may have taken long because the way was still built."""
STEADY_LACK = 0.5
"""Seconds after which what is missing still, and has not become more, says nothing of what comes now.
Less than `Timing.starved`: one loss for good cuts nobody off."""


class Silence:
    """Counts the seconds without any sign of life, and those without media. One thread owns it."""

    __slots__ = ("_gap", "_gap_before", "_looked", "_timing", "_until", "media", "signs")

    def __init__(self, now: float, timing: Timing, answer: float = 0.0) -> None:
        """`answer` is how many seconds the parent's answer to the request has taken."""
        self._timing, self._looked = timing, now
        self.signs = timing.silence - max(
            timing.start_silence, min(SIGN_ANSWERS * answer, timing.first_hello)
        )
        self.media = MAX_RHYTHM  # nothing has come yet
        self._gap = self._gap_before = 0.0  # the longest between two signs: in this time, in the one before
        self._until = now + GAP_MEMORY

    def look(self, now: float) -> float:
        """Advance the clock; return by how much."""
        step = now - self._looked
        if step > MAX_STEP:
            step = MAX_STEP
        self._looked = now
        self.signs += step
        self.media += step
        return step

    def on_media(self, now: float, normal: bool) -> None:
        """Take in that media has come; `normal` tells that the gap before was no failure."""
        step = now - self._looked
        gap = self.signs + (step if step < MAX_STEP else MAX_STEP)
        self._looked = now
        self.signs = self.media = 0.0
        if gap > self._gap or now >= self._until:
            self._learn(gap, now, normal)

    def on_steady(self, now: float) -> None:
        """Take in that media has come, the last at `now`, with gaps that are too short to learn from."""
        self._looked = now
        self.signs = self.media = 0.0

    def on_report(self, now: float, normal: bool) -> None:
        """Take in that an SR has come: the same, but no media."""
        self.look(now)
        gap, self.signs = self.signs, 0.0
        self._learn(gap, now, normal)

    def _learn(self, gap: float, now: float, normal: bool) -> None:
        if normal and self._gap < gap <= MAX_RHYTHM:
            self._gap = gap
        if now >= self._until:
            self._gap, self._gap_before, self._until = 0.0, self._gap, now + GAP_MEMORY

    @property
    def suspect(self) -> float:
        """Return how long the silence is to last before it is suspect."""
        timing = self._timing
        return max(timing.suspect, max(self._gap, self._gap_before) + timing.rhythm)

    @property
    def sure(self) -> float:
        """Return how long it is to last before the parent is sure to have failed."""
        timing = self._timing
        return max(timing.silence, self.suspect + timing.silence - timing.suspect)


class Lack:
    """Whether more and more is missing while nothing comes but null packets. One thread owns it.

    An idle source loses a null packet now and then, and it is repaired. Where only small datagrams pass, each
    null packet shows another gap, and nothing fills it.
    """

    __slots__ = ("_grew_at", "_known", "_most")

    def __init__(self) -> None:
        self._known = self._most = 0  # how much may be missing, and the most that was
        self._grew_at = float("-inf")

    def grows(self, missing: int, now: float) -> bool:
        """Take in how much is missing now that null packets have come; return whether that becomes more."""
        if missing > self._known:
            if missing > self._most:
                self._most, self._grew_at = missing, now
            if now - self._grew_at < STEADY_LACK:
                return True
        self._known = self._most = missing  # repaired, or lost for good some time ago
        return False
