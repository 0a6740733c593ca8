"""Whole lives of simulated overlays, each drawn from a seed: what the tests run by the hundred."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from random import Random

from mcast.overlay.candidates import PATIENCE
from mcast.wire.node import StopReason
from overlay.sim_server import SimContent
from overlay.simulation import Network, Viewer

LINE = [("rp", "n1"), ("n1", "n2"), ("n2", "n3")]
RING = [("rp", "n1"), ("n1", "n2"), ("n2", "n3"), ("n3", "rp")]
MESH = list(combinations(["rp", "n1", "n2", "n3", "n4"], 2))


@dataclass
class Run:
    """A network, and what happens in it."""

    net: Network
    play: Callable[[], None]

    def told(self) -> Iterable[str]:
        """Describe, afterwards, what has happened."""
        return self.net.timeline()


def crowd(seed: int) -> Run:
    """Viewers join crosswise at once; all get the stream, and nothing stays when they leave.

    One in ten crowds has thirty viewers, the others few: what goes wrong goes wrong among eight, too.
    """
    random, net = Random(seed), Network(MESH, seed=seed)
    many = 30 if seed % 10 == 0 else random.randint(3, 8)
    viewers = [
        net.client(random.choice(["n1", "n2", "n3", "n4"]), after=random.uniform(0, 0.03))
        for _ in range(many)
    ]

    def play() -> None:
        begun = net.now
        net.settle(15)
        assert {viewer.state for viewer in viewers} == {"watching"}
        joined_at = max(viewer.joined_at for viewer in viewers if viewer.joined_at is not None)
        assert joined_at - begun < PATIENCE, "somebody waited until a time was over"
        net.check_trees()
        for viewer in viewers:
            net.at(random.uniform(0, 0.05), viewer.leave)
        net.run(0.1)
        net.settle(10)
        net.check_empty()

    return Run(net, play)


def comings(seed: int) -> Run:
    """Viewers join while others leave; nobody hangs."""
    random, net = Random(seed), Network(RING, seed=seed)
    for _ in range(20):
        viewer = net.client(random.choice(["n1", "n2", "n3"]), after=random.uniform(0, 1))
        net.at(random.uniform(0, 1.5), random.choice([viewer.leave, viewer.leave, viewer.unwant]))
    stayer = net.client("n2", after=0.5)

    def play() -> None:
        net.run(1.5)
        net.settle(15)
        assert stayer.state == "watching"
        net.check_trees()
        stayer.leave()
        net.run(0.1)
        net.settle(10)
        net.check_empty()

    return Run(net, play)


def ending(seed: int) -> Run:
    """A content comes to its end before viewers who joined at many moments; each gets all of it."""
    random = Random(seed)
    net = Network(MESH, seed=seed, media=True, contents={"news": SimContent(length=250)})
    net.world.media_loss, net.world.control_loss = random.choice([0, 0.05]), random.choice([0, 0.1])
    viewers = [
        net.client(random.choice(["n1", "n2", "n3", "n4"]), after=random.uniform(0, 3)) for _ in range(6)
    ]

    def play() -> None:
        net.run(10)
        for viewer in viewers:
            assert viewer.state == "over", viewer
            assert viewer.stop is not None
            assert (viewer.stop.reason, viewer.stop.last) == (StopReason.END, 249)
            ((_, numbers),) = viewer.received.items()
            assert (numbers.next, viewer.lost()) == (250, 0)
        net.run(3)
        net.check_empty()

    return Run(net, play)


def watching(seed: int) -> Run:
    """Viewers come and go while datagrams and segments are lost; who watches misses nothing."""
    random = Random(seed)
    net = Network(RING, seed=seed, media=True)
    net.world.media_loss, net.world.control_loss = 0.03, 0.05
    stayers = [net.client(name, after=random.uniform(0, 1)) for name in ("n1", "n2", "n3")]
    for _ in range(4):
        viewer = net.client(random.choice(["n1", "n2", "n3"]), after=random.uniform(0, 4))
        net.at(random.uniform(2, 6), viewer.leave)

    def play() -> None:
        net.run(8)
        assert {viewer.state for viewer in stayers} == {"watching"}
        net.check_trees()
        net.check_media()
        net.world.media_loss = 0.0
        _leave_all(net)

    return Run(net, play)


def disasters(seed: int, *, records: bool = False) -> Run:
    """Nodes die, freeze and start again, links are cut and mended, servers hang; then all is well again.

    Whatever becomes of those who watched meanwhile: each was told, and afterwards each node serves.
    """
    random = Random(seed)
    net = Network(MESH, seed=seed, media=True, servers=("s1", "s2"), records=records)
    net.world.control_loss = random.choice([0.0, 0.1])
    for _ in range(8):
        net.client(
            *random.sample(["n1", "n2", "n3", "n4"], random.choice([1, 2])), after=random.uniform(0, 6)
        )
    for _ in range(random.randint(1, 4)):
        _plan_disaster(net, random)

    def play() -> None:
        net.run(25)  # the last trouble is over after 12 s, and nobody waits longer than 10 s for a peer
        assert all(viewer.state in ("watching", "over", "failed") for viewer in net.viewers), net.viewers
        net.world.control_loss = 0.0
        late = [net.client(name) for name in ("rp", "n1", "n2", "n3", "n4")]
        net.settle(15)
        assert {viewer.state for viewer in late} == {"watching"}, late
        net.run(3)
        net.check_trees()
        for viewer in late:
            assert viewer.lost() == 0, viewer
        _leave_all(net)

    return Run(net, play)


def _plan_disaster(net: Network, random: Random) -> None:
    begin, end = random.uniform(0, 6), random.uniform(6, 12)
    node = random.choice(["n1", "n2", "n3", "n4"])
    match random.randrange(5):
        case 0:
            net.at(begin, lambda: net.kill(node))
            net.at(end, lambda: _restart(net, node))
        case 1:
            net.at(begin, lambda: net.freeze(node))
            net.at(end, lambda: net.thaw(node))
        case 2:
            one, other = random.choice(MESH)
            net.at(begin, lambda: net.world.cut(one, other))
            net.at(end, lambda: net.world.mend(one, other))
        case 3:
            one, other = random.choice(MESH)
            net.at(begin, lambda: net.world.cut(one, other, control=False))
            net.at(end, lambda: net.world.mend(one, other))
        case 4:
            server = random.choice(["s1", "s2"])
            net.at(begin, lambda: net.freeze(server))
            net.at(end, lambda: net.thaw(server))


def _restart(net: Network, name: str) -> None:
    if not net.nodes[name].alive:
        net.start(name)


def _leave_all(net: Network) -> None:
    _each(net.viewers)
    net.run(4)  # a stream outlives a child that was lost by 3 s
    net.settle(10)
    net.check_empty()


def _each(viewers: list[Viewer]) -> None:
    for viewer in viewers:
        viewer.leave()


SCENARIOS: Mapping[str, Callable[[int], Run]] = {
    "crowd": crowd,
    "comings": comings,
    "ending": ending,
    "watching": watching,
    "disasters": disasters,
}
