"""The last of what has come, for any number of readers: one writer, and each reader at its own pace.

Nobody waits for a reader. One who has fallen behind what is kept is told so (`FellBehind`), at its own cost.
"""

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class FellBehind(Exception):  # noqa: N818 -- it is no error of ours
    """What a reader wants next is kept no more."""


class Ring(Generic[T]):
    """Bounded by the sum of its items' sizes. Safe for all threads."""

    def __init__(self, most: int, size: Callable[[T], int] = lambda _: 1) -> None:
        """`most` is in what `size` counts: items, unless another is given."""
        self._most, self._size = most, size
        self._condition = threading.Condition()  # guards what follows
        self._items: deque[T] = deque()
        self._held = 0
        self._head = 0  # the number of the next item
        self._is_over = False

    @property
    def head(self) -> int:
        """Return the number that the next item will have: the first has 0."""
        return self._head

    @property
    def tail(self) -> int:
        """Return the number of the oldest item that is kept."""
        with self._condition:
            return self._head - len(self._items)

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come."""
        return self._is_over

    def append(self, item: T) -> None:
        """Add an item, in the place of the oldest if need be. Never waits."""
        with self._condition:
            self._items.append(item)
            self._held += self._size(item)
            while self._held > self._most and len(self._items) > 1:
                self._held -= self._size(self._items.popleft())
            self._head += 1
            self._condition.notify_all()

    def finish(self) -> None:
        """Say that nothing more will come."""
        with self._condition:
            self._is_over = True
            self._condition.notify_all()

    def read(self, number: int, timeout: float) -> list[T]:
        """Return all items from this number on; none if nothing came within so many seconds, or it is over.

        Raises FellBehind if the first of them is kept no more.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._head > number or self._is_over, timeout)
            skipped = len(self._items) - (self._head - number)
            if skipped < 0:
                raise FellBehind
            return list(islice(self._items, skipped, None))

    def __repr__(self) -> str:
        return f"<Ring {self._held} of {self._most}, next {self._head}>"
