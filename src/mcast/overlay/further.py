"""Neighbours beyond one's own: whom a node names to its clients, and whom a client asks when its own fail.

Of others a client may have heard from its user's bootstrapper, before it knew anybody else.

A client knows the neighbours that its user has named, often a single one. So that it survives that one, each
node names a few of its own neighbours in the PORTs to its clients: only those that have said that they
take clients, by the address at which it reaches them itself.

To be told an address is no reason to believe it: a peer must not be able to have a client connect anywhere
it likes. A client asks those it was told of only when its own neighbours have failed or given it no way,
for no longer than it searches, and never at an address that may mean another host to it than to who has told
it.
"""

from collections.abc import Iterable, Iterator, Mapping, Set

from mcast.hostport import parse_address
from mcast.overlay.distance import MAX_DISTANCE
from mcast.overlay.events import Introduced
from mcast.wire.bootstrap import NamedAddress
from mcast.wire.endpoint import Endpoint, IpAddress
from mcast.wire.node import MAX_FURTHER

MAX_NAMED = 2 * MAX_FURTHER
"""Neighbours that may be named: some of them may be of no use to one client, see `usable`."""
AGAIN_SECONDS = 5.0
"""Until an address that a client was told of is met, and so dialled, again."""
MAX_MET = 16
"""Addresses met in that time: those of four parents, one after the other."""
RENEW_SECONDS = 1.0
"""Least time between two PORTs that only name other neighbours."""


def usable(addresses: Iterable[Endpoint], told_at: IpAddress) -> tuple[Endpoint, ...]:
    """Return those that mean the same host to both, up to MAX_FURTHER.

    `told_at` is the address at which the client reaches the node that names them.
    """
    same = (address for address in addresses if _scope(address.ip) in (0, _scope(told_at)))
    return tuple(dict.fromkeys(same))[:MAX_FURTHER]


def _scope(ip: IpAddress) -> int:
    return 2 if ip.is_loopback else 1 if ip.is_link_local else 0


class Introductions:
    """What the neighbours of a node have said that they are."""

    def __init__(self) -> None:
        self._known: dict[str, Introduced] = {}

    def on_introduced(self, told: Introduced) -> None:
        """Take in a neighbour's word."""
        self._known[told.neighbour] = told

    def on_lost(self, neighbour: str) -> None:
        """Forget a neighbour of which nothing is heard any more."""
        self._known.pop(neighbour, None)

    def keep(self, neighbours: Mapping[str, float]) -> None:
        """Forget who is no neighbour any more."""
        self._known = {name: told for name, told in self._known.items() if name in neighbours}

    @property
    def names(self) -> Set[str]:
        """Return who has said what it is, and is heard of still."""
        return self._known.keys()

    @property
    def distances(self) -> list[int]:
        """Return how far from a rendezvous point those are that know it."""
        return [told.distance for told in self._known.values() if told.distance is not None]

    @property
    def lost(self) -> Set[str]:
        """Return who has said that it knows of no way to a rendezvous point."""
        return {name for name, told in self._known.items() if told.distance is None}

    def distance_of(self, neighbour: str) -> int:
        """Return how many links a neighbour says it is away from a rendezvous point; many if it is silent."""
        told = self._known.get(neighbour)
        return _last(None if told is None else told.distance)

    def nearest(self, neighbours: Mapping[str, float]) -> list[str]:
        """Return those of some neighbours that know how far a rendezvous point is, but for who is full.

        The nearest to it first, of several the one that answers soonest.
        """
        told = {name: self._known[name] for name in neighbours if name in self._known}
        ranked = sorted(
            (each.distance, neighbours[name], name)
            for name, each in told.items()
            if each.distance is not None and each.distance < MAX_DISTANCE and not each.full
        )
        return [name for *_, name in ranked]

    def named(self, preferred: Iterable[str], *, full: bool = True) -> tuple[Endpoint, ...]:
        """Return where clients may turn to, the best first: who streams already, who is near the source.

        Who is full may not be so later, when a client's parent fails; but is no help to one that is refused
        now (`full`: whether to name them, too).
        """
        first = set(preferred)
        ranked = sorted(
            (name not in first, _last(told.distance), name, told.clients_at)
            for name, told in self._known.items()
            if told.clients_at is not None and (full or not told.full)
        )
        return tuple(address for *_, address in ranked if address is not None)[:MAX_NAMED]


def _last(distance: int | None) -> int:
    return MAX_DISTANCE + 1 if distance is None else distance


class Acquaintances:
    """Whom a client has been told of, and who of them is asked at present."""

    def __init__(self) -> None:
        self._told: tuple[Endpoint, ...] = ()  # by a parent
        self._offered: tuple[Endpoint, ...] = ()  # by the bootstrapper
        self._met_at: dict[Endpoint, float] = {}  # those that were met in the last AGAIN_SECONDS
        self.met: tuple[Endpoint, ...] = ()

    def __iter__(self) -> Iterator[str]:
        """Yield the names under which they are asked: their addresses."""
        return (str(address) for address in self.met)

    def on_told(self, further: tuple[Endpoint, ...]) -> None:
        """Take in a parent's newest word; one that names nobody leaves it at what was known before."""
        self._told = further or self._told

    def on_named(self, further: tuple[Endpoint, ...]) -> None:
        """Take in whom a node names that is full, beside those that others have named."""
        self._told = tuple(dict.fromkeys((*further, *self._told)))[:MAX_MET]

    def on_offered(self, nodes: Iterable[NamedAddress]) -> None:
        """Take in whom the bootstrapper has named; host names are left out, as nobody looks them up here."""
        addresses = (parse_address(node.address) for node in nodes)
        self._offered = tuple(Endpoint(each.ip, each.port) for each in addresses if each.ip is not None)

    def meet(self, neighbours: Mapping[str, float], now: float, most: int = MAX_MET) -> bool:
        """Begin to ask those that are known, but for one's own neighbours; return whether that is news.

        Of those that were not asked before `most` at most, the best first.
        """
        self._met_at = {each: at for each, at in self._met_at.items() if now < at + AGAIN_SECONDS}
        known = dict.fromkeys((*self._told, *self._offered))
        before, strangers = self.met, [each for each in known if str(each) not in neighbours]
        fresh = [each for each in strangers if each not in self._met_at and each not in before]
        fresh = fresh[: min(most, MAX_MET - len(self._met_at))]
        self._met_at.update(dict.fromkeys(fresh, now))
        self.met = tuple(each for each in strangers if each in before or each in fresh)
        return self.met != before

    def part(self) -> bool:
        """Ask them no more; return whether that is news."""
        before, self.met = self.met, ()
        return bool(before)
