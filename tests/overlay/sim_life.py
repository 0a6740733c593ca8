"""What may happen to a simulated overlay on a random graph: one thing after another fails, and is mended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from mcast.config.layout_file import SCOPED_NODES
from overlay.sim_server import SimContent
from overlay.sim_watchdog import Watchdog
from overlay.simulation import Network

Links: TypeAlias = Sequence[tuple[str, str]]


def graph(random: Random, nodes: int, *, tree: bool = False) -> list[tuple[str, str]]:
    """Return a connected graph in which most nodes have two to five neighbours: a campus, not a star.

    In a `tree` every node that has others below it is a cut vertex.
    """
    names = ["rp", *(f"n{number}" for number in range(1, nodes))]
    links = {(names[random.randrange(max(0, at - 20), at)], names[at]) for at in range(1, nodes)}
    while len(links) < 2 * nodes - 2 and nodes > 5 and not tree:
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
    mixed: bool = False  # other things than nodes and whole links fail, too
    down: dict[str, Callable[[], None]] = field(default_factory=dict)  # what is broken, and how it is mended

    @classmethod
    def begin(
        cls, seed: int, nodes: int, *, loss: bool = False, records: bool = False, offers: bool = False,
        standbys: int = 0, parents: int = 1, links: Links | None = None, large: bool = False,
        mixed: bool = False, live: bool = False,
    ) -> "Life":  # fmt: skip
        """Return an overlay in which viewers watch, about one for each two nodes.

        With `offers` there is a bootstrapper that tells who is up; it is needed, as the layout is a tree.
        `live` content cannot go on at another server with the same numbers.
        """
        random = Random(seed)
        roots = ["rp", *random.sample([f"n{number}" for number in range(1, nodes)], standbys)]
        net = Network(links or graph(random, nodes, tree=offers), media=True, servers=("s1", "s2"), seed=seed,
                      records=records, offers=offers, rendezvous=roots, parents=parents,
                      scoped=nodes > SCOPED_NODES, large=large,
                      contents={"news": SimContent(digest=b"")} if live else ("news",))  # fmt: skip
        names = sorted(net.nodes)
        for _ in range(max(4, nodes // 2)):
            net.client(*random.sample(names, random.choice([1, 2])), after=random.uniform(0, 1))
        net.run(4)
        assert {viewer.state for viewer in net.viewers} == {"watching"}, net.viewers
        net.world.control_loss = 0.05 if loss else 0.0
        net.world.media_loss = 0.02 if loss else 0.0
        return cls(net, random, Watchdog(net), mixed)

    def relays(self) -> list[str]:
        """Return the living nodes, but for the last rendezvous point, that others are fed by."""
        living = [node for node in self.net.nodes.values()
                  if node.alive and not node.frozen and not node.is_leaving]  # fmt: skip
        roots = [node for node in living if node.core.rendezvous]
        return [node.name for node in living if node.relays and (node not in roots or len(roots) > 1)]

    def fail(self) -> None:
        """Let one thing fail, of any kind."""
        kinds = [self.crash, self.freeze, self.cut, self.cut_media, self.leave]
        if self.mixed:
            kinds += [
                self.cut_control,
                self.cut_one_way,
                self.hiccup,
                self.unlink,
                self.fail_server,
                self.part,
            ]
        self.random.choice(kinds)()

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

    def cut(self, *, control: bool = True, media: bool = True) -> None:
        one, other = self.random.choice(self.net.graph.links)
        if f"{one}-{other}" not in self.down:
            self.net.world.cut(one, other, control=control, media=media)
            self.down[f"{one}-{other}"] = lambda: self.net.world.mend(one, other)

    def cut_media(self) -> None:
        self.cut(control=False)

    def cut_control(self) -> None:
        self.cut(media=False)

    def cut_one_way(self) -> None:
        """Lose all datagrams of one direction: what is said comes, what is answered does not."""
        link = self.random.choice(self.net.graph.links)
        if "-".join(link) not in self.down:
            way = self.random.choice([link, link[::-1]])
            self.net.world.one_way.add(way)
            self.down["-".join(link)] = lambda: self.net.world.one_way.discard(way)

    def hiccup(self) -> None:
        """Let a node stand still for a moment: it is nobody's failure."""
        name = self._victim()
        if name is None:
            return
        node = self.net.nodes[name]
        node.freeze()
        self.down[name] = lambda: None

        def go_on() -> None:
            if node.alive:
                node.thaw()
            self.down.pop(name, None)

        self.net.at(self.random.uniform(0.1, 1.2), go_on)

    def unlink(self) -> None:
        """Remove a link from the layout, as SIGHUP does, if all are connected without it."""
        graph, link = self.net.graph, self.random.choice(self.net.graph.links)
        graph.remove(*link)
        if graph.reached(["rp"], lambda _one, _other: True) != set(self.net.nodes):
            graph.add(*link)
            return
        self._tell_layout(*link)

        def back() -> None:
            graph.add(*link)
            self._tell_layout(*link)

        self.down[f"layout {'-'.join(link)}"] = back

    def fail_server(self) -> None:
        """Let a server die, or hang, if another one lives."""
        net, living = self.net, [each for each in self.net.servers.values() if each.alive and not each.frozen]
        if len(living) < 2:
            return
        name = self.random.choice(living).name
        if self.random.random() < 0.5:
            net.kill(name)
            self.down[name] = lambda: self._start_server(name)
        else:
            net.freeze(name)
            self.down[name] = lambda: net.thaw(name)

    def part(self) -> None:
        """Let a viewer leave, if others stay."""
        watching = [viewer for viewer in self.net.viewers if viewer.state == "watching"]
        if len(watching) > 3:
            self.random.choice(watching).leave()

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

    def _start_server(self, name: str) -> None:
        self.net.start_server(name)

    def _tell_layout(self, *names: str) -> None:
        for name in names:
            if self.net.nodes[name].alive:
                self.net.tell_layout(name)
