"""A discrete-event simulation of an overlay: real `NodeCore`s as nodes and as clients, invented wires.

What a shell does with sockets and threads is done here with a heap of events, so thousands of seconds of
nodes' lives run in a second. Everything comes from the seed: the same seed gives the same run.

    PYTHONPATH=src:tests python -m overlay.simulation crowd --seed 17     (scenarios.py has the names)
    PYTHONPATH=src:tests python -m overlay.simulation resilience --nodes 2000 --seed 1

The parts: sim_world (time, links, connections), sim_graph (the layout), sim_node, sim_flooder and
sim_upstream (a node's shell), sim_server (servers, and how they are watched), sim_bootstrap (who offers
others), sim_media (numbers, silence, repair), sim_adverts (what neighbours tell each other), sim_watchdog
(what must hold at all times).
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import TYPE_CHECKING

from mcast.overlay.actions import LOCAL, NodeParent, SearchFailure
from mcast.overlay.branch import Branch
from mcast.overlay.events import Feed, Unwanted, Wanted
from mcast.overlay.table import State
from mcast.wire.bootstrap import DEFAULT_POLICY, Policy
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.node import Stop, StopReason
from overlay.sim_bootstrap import SimBootstrapper
from overlay.sim_graph import Graph
from overlay.sim_media import Numbers
from overlay.sim_node import SimNode
from overlay.sim_server import Library, SimContent, SimServer, Timeline
from overlay.sim_upstream import NodeUpstream
from overlay.sim_world import PACE, Process, World

if TYPE_CHECKING:
    from overlay.scenarios import Run

PATIENCE = 30.0
"""Seconds that a viewer of the simulation waits for its content."""
YOUNG = 1.5
"""Seconds in which a missing number may still be repaired."""
ENDLESS = SimContent()


@dataclass
class Viewer:
    """What the user of a client sees."""

    node: SimNode
    content: str
    state: str = "waiting"  # watching, over, failed, left
    path: tuple[Identity, ...] = ()
    is_cut: bool = False
    failure: SearchFailure | None = None
    stop: Stop | None = None
    joined_at: float | None = None
    longest_gap: float = 0.0  # seconds without media, once some has come
    worst_delay: float = 0.0  # of a number that became due while it watched
    received: dict[int, Numbers] = field(default_factory=dict)  # by SSRC
    neighbours: tuple[str, ...] = ()
    media_at: float | None = None

    def __repr__(self) -> str:
        return f"<Viewer {self.node.name} of {self.content}: {self.state}, {self.lost()} lost>"

    def on_path(self, path: tuple[Identity, ...], *, cut: bool) -> None:
        if self.joined_at is None:
            self.joined_at = self.node.world.now
        self.state, self.path, self.is_cut = "watching", path, cut

    def on_failed(self, failure: SearchFailure) -> None:
        if self.state != "left":
            self.state, self.failure = "failed", failure

    def on_end(self, stop: Stop) -> None:
        if self.state != "left":
            self.state, self.stop = "over", stop

    def on_media(self, ssrc: int, begin: int, end: int) -> None:
        now, timeline = self.node.world.now, self.node.net.timelines[ssrc]
        if self.media_at is not None:
            self.longest_gap = max(self.longest_gap, now - self.media_at)
        self.media_at = now
        if self.joined_at is not None and timeline.due(begin) >= self.joined_at:
            self.worst_delay = max(self.worst_delay, now - timeline.due(begin))
        self.received.setdefault(ssrc, Numbers()).add(begin, end)

    def lost(self, until: Callable[[int], int] | None = None) -> int:
        """Return how many numbers are missing between what has come (up to `until(ssrc)`)."""
        missing = 0
        for ssrc, numbers in self.received.items():
            end = numbers.next if until is None else min(numbers.next, until(ssrc))
            missing += sum(b - a for a, b in numbers.missing(numbers.first, end))
        return missing

    def leave(self) -> None:
        """End the client, as Ctrl-C does."""
        if self.state in ("waiting", "watching"):
            self.state = "left"
        self.node.stop()

    def unwant(self) -> None:
        """Let go of the content, and keep the client running."""
        self.state = "left"
        self.node.handle(Unwanted(self.content))


class Network:
    """Nodes, clients, servers and the one clock."""

    def __init__(
        self,
        links: Iterable[tuple[str, str]],
        *,
        rendezvous: str | Sequence[str] = "rp",
        contents: Iterable[str] | Mapping[str, SimContent] = ("news",),
        servers: Iterable[str] = ("s1",),
        seed: int = 0,
        most_delay: float = 0.02,
        media: bool = False,
        records: bool = False,
        adverts: bool | None = None,
        parents: int = 1,
        optimise: bool = DEFAULT_POLICY.optimise,
        offers: bool = False,
        steady: bool = False,
        scoped: bool = False,
        large: bool = False,
        move_streams: bool = False,
    ) -> None:
        """Without `media` no number is ever sent, and parents count as fed: a quarter of the work.

        Neighbours tell each other what they stream if `adverts` says so (None: as `media` does). With
        `offers` there is a bootstrapper that tells who is up; else who asks it is told nothing. On `steady`
        links every message takes equally long. In a `large` one less happens in a second: trains are twice as
        long, and a node in which nothing goes on looks around twice a second instead of ten times.
        """
        self.is_large = large
        self.bootstrapper = SimBootstrapper(self, offers=offers)
        self.seed, self.media, self.records = seed, media, records
        self.policy = Policy(parents=parents, optimise=optimise, move_streams=move_streams, scoped=scoped)
        self.adverts = media if adverts is None else adverts
        self._addresses: dict[str, Endpoint] = {}  # of nodes, as clients are told them
        self._names: dict[str, str] = {}
        self.world, self.timelines = World(seed, most_delay), Library()
        self.world.is_steady = steady
        if large:
            self.world.train_seconds = 2 * PACE
        self.rendezvous = (rendezvous,) if isinstance(rendezvous, str) else tuple(rendezvous)
        named = contents if isinstance(contents, Mapping) else dict.fromkeys(contents, ENDLESS)
        self.contents: dict[str, SimContent] = dict(named)
        self.graph = Graph(links)
        self.viewers: list[Viewer] = []
        self._clients: dict[str, SimNode] = {}
        # Told of each step that a node has taken.
        self.watchers: list[Callable[[SimNode], None]] = [self.bootstrapper.on_step] if offers else []
        self.past: list[SimNode] = []  # processes in whose place others have begun
        self.servers: dict[str, SimServer] = {}
        self.nodes: dict[str, SimNode] = {}
        for address in servers:
            self.start_server(address)
        for name in sorted({*self.rendezvous, *self.graph.names}):
            self.begin(name)
        for name in self.nodes:
            self.tell_layout(name)
        self.run(2.5)  # servers are listed, connections are warm

    # Who is there

    def process(self, name: str) -> SimNode | None:
        return self.nodes.get(name)

    def address_of(self, name: str) -> Endpoint:
        """Return where a node takes clients."""
        if name not in self._addresses:
            number = len(self._addresses) + 1
            self._addresses[name] = address = Endpoint.of(f"10.1.{number // 250}.{number % 250 + 1}", 6000)
            self._names[str(address)] = name
        return self._addresses[name]

    def name_of(self, address: str) -> str:
        """Return which node has an address, or the name itself."""
        return self._names.get(address, address)

    def server(self, address: str) -> SimServer | None:
        return self.servers.get(address)

    def start_server(self, address: str, contents: Mapping[str, SimContent] | None = None) -> SimServer:
        offered = dict(self.contents if contents is None else contents)
        server = SimServer(self.world, address, offered, self.timelines, emits=self.media)
        self.servers[address] = server
        return server

    def start(self, name: str, *neighbours: str) -> SimNode:
        """Start a node, anew or for the first time, and tell its neighbours of new links."""
        for neighbour in neighbours:
            self.graph.add(name, neighbour)
        node = self.begin(name)
        for each in (name, *neighbours):
            self.tell_layout(each)
        return node

    def begin(self, name: str) -> SimNode:
        me = Identity.node(name)
        if name in self.nodes:
            self.past.append(self.nodes[name])
        node = self.nodes[name] = SimNode(self, name, me, rendezvous=name in self.rendezvous)
        return node

    def tell_layout(self, name: str) -> None:
        around = self.graph.around(name)
        order = self.world.random.sample(around, len(around))
        self.nodes[name].set_layout(
            order, self.servers if name in self.rendezvous else (), rendezvous=self.rendezvous,
            joined=name in self.bootstrapper.joined,
        )  # fmt: skip

    def client(
        self, *neighbours: str, content: str = "news", after: float = 0.0, patience: float = PATIENCE
    ) -> Viewer:
        """Start a client that wants a content."""
        number = len(self.viewers) + 1
        node = SimNode(self, f"c{number}", Identity.client(number.to_bytes(16, "big")))
        viewer = node.viewers[content] = Viewer(node, content, neighbours=neighbours)
        self.viewers.append(viewer)
        self._clients[node.name] = node

        def begin() -> None:
            self.world.in_flight -= 1
            if viewer.state == "waiting":
                node.set_layout(neighbours)
                node.handle(Wanted(content, patience))

        self.world.in_flight += 1
        self.world.clock.after(after, begin)
        return viewer

    def kill(self, name: str) -> None:
        """End a process at once; its kernel resets the connections."""
        self._find(name).die()

    def freeze(self, name: str) -> None:
        self._find(name).freeze()

    def thaw(self, name: str) -> None:
        self._find(name).thaw()

    def _find(self, name: str) -> Process:
        return self.nodes.get(name) or self.servers.get(name) or self._clients[name]

    def running(self, name: str) -> SimNode | None:
        """Return the node or the client of a name, if it runs."""
        node = self.nodes.get(name) or self._clients.get(name)
        return node if node is not None and node.alive else None

    def all_nodes(self) -> list[SimNode]:
        """Return the nodes and clients that run."""
        return [n for n in (*self.nodes.values(), *(v.node for v in self.viewers)) if n.alive]

    def everybody(self) -> list[SimNode]:
        """Return the nodes and clients there are, and those that have ended."""
        return [*self.past, *self.nodes.values(), *(viewer.node for viewer in self.viewers)]

    # Time

    @property
    def now(self) -> float:
        return self.world.now

    def run(self, seconds: float) -> None:
        self.world.clock.run(seconds)

    def at(self, seconds: float, happen: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self.world.clock.after(seconds, happen)

    def settle(self, limit: float = 30.0) -> None:
        """Run until all requests are answered and nobody waits any more; that must be within `limit`."""
        if not self.world.clock.run(limit, self.is_quiet):
            raise AssertionError(f"no rest after {limit:g} s: {'; '.join(self._restless())}")

    def is_quiet(self) -> bool:
        return self.world.in_flight == 0 and not any(True for _ in self._restless())

    def _restless(self) -> Iterator[str]:
        if self.world.in_flight:
            yield f"{self.world.in_flight} messages on their way"
        for node in self.all_nodes():
            if node.flooder.asking:
                yield f"{node.name} asks"
            for branch in node.core.branches.values():
                is_doubled = self.policy.parents > 1 and branch.state is State.DOUBLED
                if not is_doubled and (branch.state is not State.FED or len(branch.upstreams) != 1):
                    yield f"{node.name}: {branch}"

    def said(self, event: str) -> list[tuple[float, str, dict[str, object]]]:
        """Return who has announced an event, when, and with which fields."""
        told = [(at, node.name, fields) for node in (*self.nodes.values(), *(v.node for v in self.viewers))
                for at, name, fields in node.said if name == event]  # fmt: skip
        return sorted(told, key=lambda each: each[0])

    def timeline(self) -> Iterator[str]:
        """Describe the run for people."""
        lines = [(at, f"{node.name}: {name} {fields}")
                 for node in (*self.nodes.values(), *(v.node for v in self.viewers))
                 for at, name, fields in node.said]  # fmt: skip
        for at, text in sorted(lines, key=lambda line: line[0]):
            yield f"{at:9.3f} {text}"
        yield from (repr(viewer) for viewer in self.viewers)

    # What must hold

    def branch(self, name: str, content: str = "news") -> Branch | None:
        return self.nodes[name].core.branches.get(content)

    def timeline_of(self, ssrc: int) -> Timeline:
        return self.timelines[ssrc]

    def check_trees(self) -> None:
        """One copy per link, no loops, every parent knows its child: to be asked when all is quiet."""
        for node in self.all_nodes():
            assert set(node.core.branches) == set(node.relays)
            taken = sum(len(branch.upstreams) for branch in node.core.branches.values())
            assert len(node.relays) <= taken == len(node.upstreams), f"{node.name} keeps {node.upstreams}"
            for content, branch in node.core.branches.items():
                self._check_branch(node, content, branch)

    def _check_branch(self, node: SimNode, content: str, branch: Branch) -> None:
        assert branch.children, f"{node.name} relays {content} to nobody"
        assert not branch.admission.waiters
        assert branch.primary is not None
        assert list(branch.path) == self._way_up(node, content)
        self._check_children(node, content, branch)
        upstream = node.upstreams[branch.primary]
        if isinstance(upstream, NodeUpstream):
            assert upstream.source is not None
            parent = self.nodes[upstream.source.process.name]
            assert upstream.source.key in parent.core.branches[content].children

    def _check_children(self, node: SimNode, content: str, branch: Branch) -> None:
        """Each child that is counted is one that takes it, and no child takes a second copy."""
        takers = []
        for connection in branch.children:
            if connection == LOCAL:
                assert node.viewers[content].state == "watching"
                continue
            child = node.connections[connection].caller
            takers.append(child.name)
            below = child.core.branches[content]
            if below.primary is not None and child.upstreams[below.primary].source_process is node:
                assert below.path[:-1] == branch.path
        assert len(takers) == len(set(takers)), f"{node.name} sends {content} twice over one link: {takers}"

    def _way_up(self, node: SimNode, content: str) -> list[Identity]:
        way, at = [node.me], node
        while True:
            branch = at.core.branches[content]
            assert branch.primary is not None
            parent = branch.upstreams[branch.primary].parent
            if not isinstance(parent, NodeParent):
                assert at.core.rendezvous
                return way[::-1]
            at = self.nodes[self.name_of(parent.name)]
            assert at.me not in way, f"a loop: {way} and again {at.me}"
            way.append(at.me)

    def check_media(self, *, lost: int = 0) -> None:
        """Every viewer that watches is fed, and has all but `lost` of the numbers due since it began."""
        for viewer in self.viewers:
            if viewer.state == "watching":
                relay = viewer.node.relays[viewer.content]
                feeds = [inlet.feed for inlet in relay.receiver.inlets.values()]
                assert Feed.FED in feeds, f"{viewer} is not fed: {feeds}"
                assert viewer.lost(self.repaired_by) <= lost, f"{viewer}: {viewer.received}"

    def repaired_by(self, ssrc: int) -> int:
        """Return the number below which nothing may be missing any more."""
        timeline = self.timelines[ssrc]
        return int((self.now - YOUNG - timeline.begun) / (timeline.due(1) - timeline.due(0)))

    def check_empty(self) -> None:
        """Nothing is left of any stream, subscription or question."""
        for node in self.all_nodes():
            assert node.core.is_idle, f"{node.name}: {list(node.core.branches.values())}"
            assert not node.upstreams, f"{node.name} still subscribes {node.upstreams}"
            assert not node.relays, f"{node.name} still relays {list(node.relays)}"
            assert not node.flooder.asking, f"{node.name} still asks {list(node.flooder.asking)}"
        for server in self.servers.values():
            assert not server.streamers, f"{server.name} still streams {server.streamers}"

    def check_ends(self, *reasons: StopReason) -> None:
        """Every viewer whose stream is over was told one of these reasons."""
        assert {viewer.stop.reason for viewer in self.viewers if viewer.stop} <= set(reasons)


@contextmanager
def replayable(scenario: str, seed: int, **options: float) -> Iterator[None]:
    """Say, when a run fails, how to see the same run again."""
    try:
        yield
    except Exception as error:
        error.add_note(f"again: PYTHONPATH=src:tests python -m overlay.simulation "
                       f"{' '.join(arguments(scenario, seed, **options))}")  # fmt: skip
        raise


def arguments(scenario: str, seed: int, **options: float) -> list[str]:
    """Return the words by which `main` runs just this; an option that is True needs no value."""
    words = [scenario, "--seed", str(seed)]
    for name, value in options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)] if value is not False else []
    return words


def run_of(argv: list[str] | None) -> "Run":
    """Return the run that a command line names. What it does not say is as the run itself has it."""
    from overlay.resilience import TRIALS
    from overlay.scenarios import SCENARIOS

    runs: dict[str, Callable[..., Run]] = {**SCENARIOS, **TRIALS}
    parser = argparse.ArgumentParser(
        description="Run one simulated overlay again from its seed.", argument_default=argparse.SUPPRESS
    )
    parser.add_argument("scenario", choices=sorted(runs))
    parser.add_argument("--seed", type=int, required=True)
    group = parser.add_argument_group("of churn and resilience")
    group.add_argument("--nodes", type=int)
    group.add_argument("--parents", type=int, choices=(1, 2))
    group.add_argument("--loss", action="store_true", help="messages come late, datagrams are lost")
    group.add_argument("--offers", action="store_true", help="a bootstrapper tells who is up")
    group.add_argument("--large", action="store_true", help="less happens in a second")
    group.add_argument("--mixed", action="store_true", help="links and servers fail in all ways, too")
    group.add_argument("--live", action="store_true", help="the content is live")
    group.add_argument("--standbys", type=int, help="further rendezvous points")
    group.add_argument("--seconds", type=float, help="for which nodes crash")
    group.add_argument("--share", type=float, help="of the nodes, that crashes every second")
    options = vars(parser.parse_args(argv))
    begin, seed = runs[options.pop("scenario")], options.pop("seed")
    if strange := sorted(set(options) - set(signature(begin).parameters)):
        parser.error(f"{begin.__name__} has no --{strange[0]}")
    return begin(seed, **options)


def main(argv: list[str] | None = None) -> int:
    """Run one scenario and print what happened in it."""
    run = run_of(argv)
    try:
        run.play()
    except AssertionError as error:
        print(*run.net.timeline(), sep="\n")
        print(f"failed: {error}", file=sys.stderr)
        return 1
    print(*run.told(), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
