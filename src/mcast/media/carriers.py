"""A bounded number of threads that carry any number of contents.

One content each while they are few; beyond, the next one is carried by the thread that carries the fewest.
"""

from collections.abc import Callable, Iterator, Sized
from typing import Generic, Protocol, TypeVar


class Carrier(Sized, Protocol):
    """Owns a thread; its length is how many contents that carries."""

    def stop(self) -> None:
        """End the thread and what it carries, and wait for that."""
        ...


CarrierT = TypeVar("CarrierT", bound=Carrier)


class Carriers(Generic[CarrierT]):
    """The carriers of a process. For one thread at a time."""

    def __init__(self, make: Callable[[int], CarrierT], most: int) -> None:
        """`make` makes the carrier of this number, from 1 to `most`."""
        self._make, self._most = make, most
        self._carriers: list[CarrierT] = []

    def __repr__(self) -> str:
        return f"<Carriers {self._carriers} of {self._most}>"

    def __iter__(self) -> Iterator[CarrierT]:
        return iter(tuple(self._carriers))

    def pick(self) -> CarrierT:
        """Return who is to carry the next content."""
        least = min(self._carriers, key=len, default=None)
        if least is None or (len(least) and len(self._carriers) < self._most):
            least = self._make(len(self._carriers) + 1)
            self._carriers.append(least)
        return least

    def stop(self) -> None:
        """End all threads, and what they still carry."""
        for carrier in self._carriers:
            carrier.stop()
