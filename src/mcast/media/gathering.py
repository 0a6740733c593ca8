"""Longer trains for many children: what comes within a few milliseconds is sent on as one train.

A train costs a relay nearly the same whatever its length, so who feeds many children may wait a little and
send less often. It costs that much delay on this hop, so nobody does it unless told to (`--gather-ms`). Only
what follows on what is held is held with it; late trains (repairs) pass by, as somebody waits for them.

Pure: no socket, no clock.
"""

from mcast.wire.train import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, Train


class Gathering:
    """What is held of one stream. One thread owns it."""

    def __init__(self, seconds: float) -> None:
        """Hold nothing for longer than this."""
        self._seconds = seconds
        self._parts: list[bytes] = []
        self._first = self._next = self._size = self._bytes = 0
        self._highest = 0  # the number after the highest that was ever held
        self.due = float("inf")  # when what is held is to go on

    def take(self, train: Train, now: float) -> list[Train]:
        """Take in a train; return what is to go on now, in order."""
        if train.first < self._highest:
            return [train]
        gone = [] if self._fits(train) else self.flush()
        if not self._parts:
            self._first, self._size, self._bytes = train.first, train.size, 0
            self.due = now + self._seconds
        self._parts.append(train.data)
        self._bytes += len(train.data)
        self._next = self._highest = train.next
        return [*gone, *self.flush()] if self._is_full() else gone

    def flush(self) -> list[Train]:
        """Return what is held, and hold it no more."""
        if not self._parts:
            return []
        train = Train(self._first, self._size, b"".join(self._parts))
        self._parts, self.due = [], float("inf")
        return [train]

    def _fits(self, train: Train) -> bool:
        held = self._bytes + len(train.data)
        return (
            train.first == self._next
            and train.size == self._size
            and held <= min(MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS * self._size)
        )

    def _is_full(self) -> bool:
        """Return whether nothing can be added: a shorter datagram ends a train."""
        return self._bytes % self._size != 0 or self._bytes >= MAX_TRAIN_DATAGRAMS * self._size
