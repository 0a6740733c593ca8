"""Server-Sent Events (HTML Living Standard, 9.2): what happens, told to a page as it happens.

ring = Ring[bytes](most=1000)
ring.append(event(json.dumps(news), kind="tree"))               # from any thread
return Response(EventStream(ring, ring.head), EVENTS)           # in the program's answer
"""

import time
from collections.abc import Iterator

from mcast.web.ring import FellBehind, Ring

STEP = 0.5
"""Seconds between two looks at whether the reader is still there."""
HEARTBEAT = 15.0
"""Seconds of silence until a comment is sent: proxies close what is silent for a minute."""
RETRY_MS = 500
"""After so long a browser comes back to a stream that has ended: by itself it would wait 3 s (Chromium)."""


def event(data: str, *, kind: str = "", number: int | None = None) -> bytes:
    """Return one event. `kind` is what the page listens for, `number` what it sends as Last-Event-ID."""
    lines = [f"event: {kind}"] if kind else []
    lines += [] if number is None else [f"id: {number}"]
    lines += [f"data: {line}" for line in data.splitlines() or [""]]
    return "\n".join([*lines, "", ""]).encode()


class EventStream:
    """A body that gives a ring's events from a number on. Who falls behind goes on with the oldest kept."""

    def __init__(self, ring: Ring[bytes], number: int, first: bytes = b"") -> None:
        """`first` is sent at once: what is so now, before the news."""
        self._ring, self._number, self._first = ring, number, first

    def __iter__(self) -> Iterator[bytes]:
        """Yield when to come back, then events as they come, and b"" at least every half second."""
        yield f"retry: {RETRY_MS}\n\n".encode() + self._first
        said_at = time.monotonic()
        while not self._ring.is_over:
            piece = self._next()
            if not piece and time.monotonic() - said_at >= HEARTBEAT:
                piece = b":\n\n"
            if piece:
                said_at = time.monotonic()
            yield piece

    def close(self) -> None:
        """Hold nothing: there is nothing to give back."""

    def _next(self) -> bytes:
        try:
            items = self._ring.read(self._number, STEP)
        except FellBehind:
            self._number = self._ring.tail
            return event("", kind="missed")
        self._number += len(items)
        return b"".join(items)
