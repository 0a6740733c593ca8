"""HTTP Live Streaming (RFC 8216) out of memory: segments of transport stream, and the list of the last.

A segment begins at a keyframe and lasts at least `SHORTEST` seconds. Numbers go on from one tuning in to the
next (they begin with the time of day), so that a player which was paused meanwhile is not confused.
"""

import math
import threading
from collections import deque
from dataclasses import dataclass

from mcast.gateway.pieces import Piece
from mcast.media.programme import seconds_between

SHORTEST = 1.0
"""Seconds of a segment, at least: shorter groups of pictures are put together."""
KEPT = 8
"""Segments that can still be fetched: a slow player asks for one that has just left the list."""
LISTED = 5
"""Segments in the list: a player begins at the last but two (RFC 8216, 6.3.3), some 6 s behind."""
FIRST = 3
"""Segments that the first list has: Chromium takes a shorter one for broken."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of all segments of a content: a content without keyframes must not eat the memory."""
FRAME = 0.04
"""Seconds, as which the last picture counts where no next one tells."""
LEAP = 12.0
"""Seconds: a clock that runs backwards, or leaps further than from one keyframe to the next, is another."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment, whole."""

    number: int
    data: bytes
    seconds: float
    is_break: bool  # what is before it does not go on here


class Segments:
    """The last segments of one content. One thread adds, any read."""

    def __init__(self, first_number: int) -> None:
        self._condition = threading.Condition()  # guards what follows
        self._kept: deque[Segment] = deque()
        self._is_over = False
        self._breaks = 0  # of segments that are no longer listed
        self._longest = SHORTEST  # in seconds; the list's target duration may not shrink
        # The adding thread's: the segment that is being put together.
        self._number = first_number
        self._parts: list[bytes] = []
        self._size = 0
        self._began: int | None = None
        self._is_break = False

    def add(self, piece: Piece) -> None:
        """Take in the next piece."""
        if piece.is_start and self._parts:
            elapsed = seconds_between(self._began, piece.time)
            is_break = piece.is_break or not 0 <= elapsed <= LEAP
            if elapsed >= SHORTEST or is_break or self._size > MAX_BYTES // KEPT:
                if (
                    is_break and piece.former is not None
                ):  # it lasts until its last picture, not until this one
                    elapsed = seconds_between(self._began, piece.former) + FRAME
                elif is_break:
                    elapsed = SHORTEST
                self._close(max(elapsed, FRAME))
                self._is_break = is_break
        if piece.is_start and not self._parts:
            self._began = piece.time
        if piece.is_start or self._parts:
            self._parts.append(piece.data)
            self._size += len(piece.data)
        if self._size > MAX_BYTES // KEPT * 2:
            self._close(LEAP)

    def finish(self) -> None:
        """Take in that the content is over."""
        if self._parts:
            self._close(SHORTEST)
        with self._condition:
            self._is_over = True
            self._condition.notify_all()

    def _close(self, seconds: float) -> None:
        segment = Segment(self._number, b"".join(self._parts), seconds, self._is_break)
        self._number += 1
        self._parts, self._size, self._is_break = [], 0, False
        with self._condition:
            self._kept.append(segment)
            self._longest = max(self._longest, seconds)
            if len(self._kept) > KEPT:
                self._kept.popleft()
            if len(self._kept) > LISTED:
                self._breaks += self._kept[-LISTED - 1].is_break
            self._condition.notify_all()

    def wait_first(self, timeout: float) -> bool:
        """Wait until there are `FIRST` segments, or time is over; return whether there is any."""
        with self._condition:
            self._condition.wait_for(lambda: len(self._kept) >= FIRST or self._is_over, timeout)
            return bool(self._kept)

    def get(self, number: int) -> Segment | None:
        """Return a segment; None if it is kept no more, or is still to come."""
        with self._condition:
            return next((segment for segment in self._kept if segment.number == number), None)

    def last(self, count: int) -> list[Segment]:
        """Return the newest segments, at most so many."""
        with self._condition:
            return list(self._kept)[-count:]

    @property
    def longest(self) -> float:
        """Return how long the longest segment is, in seconds."""
        return self._longest

    def playlist(self) -> str:
        """Return the list, as `index.m3u8`."""
        with self._condition:
            listed, is_over, breaks = list(self._kept)[-LISTED:], self._is_over, self._breaks
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(self._longest))}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].number if listed else 0}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        for segment in listed:
            lines += ["#EXT-X-DISCONTINUITY"] if segment.is_break else []
            lines += [f"#EXTINF:{segment.seconds:.3f},", f"{segment.number}.ts"]
        lines += ["#EXT-X-ENDLIST"] if is_over else []
        return "\n".join([*lines, ""])
