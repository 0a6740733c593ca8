"""Bounded places, of which one source cannot take all. Pure.

Whoever comes is counted by where it comes from: an IPv4 address, or a network of IPv6 (/64, as each host has
that many addresses to choose from). While less than half of a bound is in use nobody is held to a share, so
that a campus behind one address gets in; beyond that a source may hold a quarter, and beyond the bound
there is some room that is kept for peers of the layout.

`Shares` refuses, for places that are given back soon; `Places` does so, too, and remembers who has which.
`WaitingRoom` keeps who waits for nothing in particular and can be sent away: there the newcomer gets in, and
the oldest of the source with the most gives way.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

Source: TypeAlias = bytes
"""What somebody is counted under: an address, or the first half of one."""

UNCOUNTED: Source = b""
"""Nobody in particular: held to no share."""

_LEAST_SHARE = 16  # places: with a bound of a few, shares would refuse everybody


def source_of(ip: IPv4Address | IPv6Address) -> Source:
    """Return what an address is counted under."""
    return ip.packed[:8] if isinstance(ip, IPv6Address) else ip.packed


def share_of(most: int, least: int = _LEAST_SHARE) -> int:
    """Return how many of so many places a source may hold when they are scarce."""
    return max(most // 4, least)


def reserve_of(most: int) -> int:
    """Return how many places beyond so many are kept for peers of the layout."""
    return most // 16


def is_within_share(most: int, in_use: int, own: int, least: int = _LEAST_SHARE) -> bool:
    """Return whether a source that holds `own` of so many places may have one more."""
    return in_use < most // 2 or own < share_of(most, least)


class Shares:
    """Counts places. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, Counter[Source]()
        self.in_use = 0

    def take(self, source: Source, *, favoured: bool = False) -> bool:
        """Take a place if there is one for this source; return whether.

        A favoured one has the reserve, too. It is held to no share, as UNCOUNTED is not.
        """
        most = self._most + (reserve_of(self._most) if favoured else 0)
        is_modest = is_within_share(self._most, self.in_use, self._held[source])
        is_room = self.in_use < most and (favoured or source == UNCOUNTED or is_modest)
        if is_room:
            self.in_use += 1
            self._held[source] += 1
        return is_room

    def give_back(self, source: Source) -> None:
        """Give a place back that was taken."""
        self.in_use -= 1
        self._held[source] -= 1
        if self._held[source] <= 0:
            del self._held[source]

    def __repr__(self) -> str:
        return f"Shares({self.in_use} of {self._most} by {len(self._held)} sources)"


class Places(Generic[K]):
    """Knows who has a place. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self._shares = Shares(most)
        self._source: dict[K, Source] = {}

    def __len__(self) -> int:
        return len(self._source)

    def take(self, who: K, source: Source, *, favoured: bool = False) -> bool:
        """Give somebody a place if there is one for its source; return whether it has one."""
        if who not in self._source and self._shares.take(source, favoured=favoured):
            self._source[who] = source
        return who in self._source

    def leave(self, who: K) -> Source:
        """Take a place back; return what it counted for, UNCOUNTED if there was none."""
        if (source := self._source.pop(who, None)) is None:
            return UNCOUNTED
        self._shares.give_back(source)
        return source

    def __repr__(self) -> str:
        return f"Places({self._shares!r})"


@dataclass(frozen=True, slots=True)
class Entry(Generic[K]):
    """What has come of somebody's coming."""

    admitted: bool
    gives_way: K | None = None  # who has lost its place to the newcomer: to be sent away


class WaitingRoom(Generic[K]):
    """Keeps who waits, oldest first. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._source: dict[K, Source] = {}
        self._by_source: dict[Source, dict[K, None]] = {}  # in the order of their coming

    def __len__(self) -> int:
        return len(self._source)

    def __contains__(self, who: K) -> bool:
        return who in self._source

    def enter(self, who: K, source: Source, *, favoured: bool = False) -> Entry[K]:
        """Let somebody wait; somebody else may have to give way, who is forgotten at once."""
        own, in_use = len(self._by_source.get(source, ())), len(self)
        if not favoured and in_use >= self._most // 2 and own >= share_of(self._most):
            gives_way = self._oldest_of(source)
        elif in_use < self._most + (reserve_of(self._most) if favoured else 0):
            gives_way = None
        elif (gives_way := self.oldest_of_the_most()) is None:
            return Entry(admitted=False)
        if gives_way is not None:
            self.leave(gives_way)
        self._source[who] = source
        self._by_source.setdefault(source, {})[who] = None
        return Entry(admitted=True, gives_way=gives_way)

    def leave(self, who: K) -> bool:
        """Forget somebody; return whether it was waiting."""
        if (source := self._source.pop(who, None)) is None:
            return False
        theirs = self._by_source[source]
        del theirs[who]
        if not theirs:
            del self._by_source[source]
        return True

    def oldest_of_the_most(self) -> K | None:
        """Return the oldest of the source with the most, None if nobody waits."""
        if not self._by_source:
            return None
        return self._oldest_of(max(self._by_source, key=lambda source: len(self._by_source[source])))

    def _oldest_of(self, source: Source) -> K:
        return next(iter(self._by_source[source]))

    def __repr__(self) -> str:
        return f"WaitingRoom({len(self)} of {self._most} from {len(self._by_source)} sources)"
