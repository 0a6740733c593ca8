"""Overlays on random graphs in which one thing after another fails, and what their viewers see of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network, Viewer


def graph(random: Random, nodes: int) -> list[tuple[str, str]]:
    """Return a connected graph in which most nodes have two to five neighbours: a campus, not a star."""
    names = ["rp", *(f"n{number}" for number in range(1, nodes))]
    links = {(names[random.randrange(max(0, at - 20), at)], names[at]) for at in range(1, nodes)}
    while len(links) < 2 * nodes - 2 and nodes > 5:
        at = random.randrange(nodes)
        other = random.randrange(max(0, at - 20), min(nodes, at + 20))
        if at != other and (names[max(at, other)], names[min(at, other)]) not in links:
            links.add((names[min(at, other)], names[max(at, other)]))
    return sorted(links)


@dataclass
class Life:
    """One overlay, its viewers, and what happens to it."""

    net: Network
    random: Random
    watchdog: Watchdog
    down: dict[str, Callable[[], None]] = field(default_factory=dict)  # what is broken, and how it is mended

    @classmethod
    def begin(cls, seed: int, nodes: int, *, loss: bool = False, records: bool = False) -> "Life":
        """Return an overlay in which viewers watch, about one for each two nodes."""
        random = Random(seed)
        net = Network(graph(random, nodes), media=True, servers=("s1", "s2"), seed=seed, records=records)
        names = sorted(net.nodes)
        for _ in range(max(4, nodes // 2)):
            net.client(*random.sample(names, random.choice([1, 2])), after=random.uniform(0, 1))
        net.run(4)
        assert {viewer.state for viewer in net.viewers} == {"watching"}, net.viewers
        net.world.control_loss = 0.05 if loss else 0.0
        net.world.media_loss = 0.02 if loss else 0.0
        return cls(net, random, Watchdog(net))

    def relays(self) -> list[str]:
        """Return the living nodes, but for the rendezvous point, that others are fed by."""
        return [node.name for node in self.net.nodes.values()
                if node.alive and not node.frozen and not node.core.rendezvous and node.relays
                and not node.is_leaving]  # fmt: skip

    def fail(self) -> None:
        """Let one thing fail, of any kind."""
        kind = self.random.choice([self.crash, self.freeze, self.cut, self.cut_media, self.leave])
        kind()

    def crash(self) -> None:
        name = self._victim()
        if name is not None:
            self.net.kill(name)
            self.down[name] = lambda: self._start(name)

    def leave(self) -> None:
        name = self._victim()
        if name is not None:
            self.net.nodes[name].stop()
            self.down[name] = lambda: self._start(name)

    def freeze(self) -> None:
        name = self._victim()
        if name is not None:
            self.net.freeze(name)
            self.down[name] = lambda: self.net.thaw(name)

    def cut(self, *, control: bool = True) -> None:
        one, other = self.random.choice(self.net.links)
        if f"{one}-{other}" not in self.down:
            self.net.world.cut(one, other, control=control)
            self.down[f"{one}-{other}"] = lambda: self.net.world.mend(one, other)

    def cut_media(self) -> None:
        self.cut(control=False)

    def mend(self) -> None:
        """Mend what has been broken for longest."""
        if self.down:
            self.down.pop(next(iter(self.down)))()

    def join(self) -> None:
        """Let a viewer come."""
        names = [name for name, node in self.net.nodes.items() if node.alive and not node.frozen]
        self.net.client(*self.random.sample(sorted(names), 2))

    def _victim(self) -> str | None:
        names = [name for name in self.relays() if name not in self.down]
        return self.random.choice(names) if names else None

    def _start(self, name: str) -> None:
        if not self.net.nodes[name].alive:
            self.net.start(name)


@dataclass(frozen=True)
class Figures:
    """What repairs have cost. Round trips are those between two neighbours, on average."""

    repairs: int
    median_round_trips: float
    p99_round_trips: float
    longest_gap: float  # seconds, of any viewer
    lost: int  # numbers, at all viewers together
    messages_per_repair: float

    def __str__(self) -> str:
        return (
            f"{self.repairs} repairs: fed again after {self.median_round_trips:.1f} round trips (median), "
            f"{self.p99_round_trips:.1f} (p99); {self.messages_per_repair:.1f} messages each; "
            f"longest gap {self.longest_gap * 1000:.0f} ms, {self.lost} numbers lost"
        )


def figures(net: Network, since: float, messages: int) -> Figures:
    """Return what repairs have cost since a moment at which so many messages had been sent."""
    round_trip = net.world.most_delay  # twice half of it
    after = [float(str(fields["after_ms"])) / 1000 / round_trip
             for at, name, fields in net.said("fed") if at >= since and name in net.nodes]  # fmt: skip
    taken = len([at for at, _, _ in net.said("parent_taken") if at >= since])
    sent = sum(node.messages for node in net.everybody()) - messages
    return Figures(
        repairs=taken,
        median_round_trips=median(after) if after else 0.0,
        p99_round_trips=quantiles(after, n=100)[-1] if len(after) > 1 else max(after, default=0.0),
        longest_gap=max((viewer.longest_gap for viewer in net.viewers), default=0.0),
        lost=sum(viewer.lost() for viewer in net.viewers),
        messages_per_repair=sent / taken if taken else 0.0,
    )


def watchers(net: Network) -> list[Viewer]:
    """Return the viewers that still watch."""
    return [viewer for viewer in net.viewers if viewer.state == "watching"]
