"""Overlays on random graphs in which one thing after another fails, and what their viewers see of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import TypeAlias

from overlay.scenarios import Run
from overlay.sim_life import Life, Links
from overlay.simulation import Network, replayable

REST_SECONDS = 15.0
"""How long after the last failure somebody may still ask or have two parents."""

REST_OF_MANY_SECONDS = 120.0
"""The same among a thousand or more that stream: each may take a better way once in half a minute, and has
then two parents for 4 s. So at nearly any moment somebody does, until all have what they want."""


@dataclass(frozen=True)
class Waits:
    """How long some were without media, in round trips between two neighbours (on average)."""

    count: int = 0
    median: float = 0.0
    p99: float = 0.0
    longest: float = 0.0

    @classmethod
    def of(cls, waits: Sequence[float]) -> "Waits":
        if not waits:
            return cls()
        many = len(waits) > 1
        return cls(
            len(waits),
            median(waits),
            quantiles(waits, n=100, method="inclusive")[-1] if many else waits[0],
            max(waits),
        )

    def __str__(self) -> str:
        return f"{self.median:.1f} / {self.p99:.1f} / {self.longest:.1f}"


@dataclass(frozen=True)
class Figures:
    """What repairs have cost, where there was a way all the time."""

    repairs: int
    without_gap: int  # of these: the second parent fed before the first was left
    repairing: Waits  # the others: from the loss of the parent until media came again
    cut: Waits  # all that were cut off, those below who repairs, too: from when they heard of it
    without_way: int  # that waited while nobody alive could have fed them, and count nowhere else
    longest_gap: float  # seconds without media, of any viewer that had a way
    lost: int  # numbers, at all viewers together
    requests_each: float  # questions and answers for each repair
    news_each: float  # all else that nodes told each other for each: paths, cuts, what they stream
    loops: int  # that there were for a moment
    longest_loop: float  # seconds
    copies: float  # of the stream, that came to each node and client on average
    hops: float  # from the rendezvous point to a client, on average

    def __str__(self) -> str:
        return (
            f"{self.repairs} repairs, {self.without_gap} of them without a gap; the others fed again after "
            f"{self.repairing} round trips (median / p99 / longest), all that were cut off after {self.cut}; "
            f"{self.without_way} had no way; "
            f"{self.requests_each:.0f} requests and answers for each, and "
            f"{self.news_each:.0f} messages that tell others of it; "
            f"longest gap {self.longest_gap * 1000:.0f} ms, {self.lost} numbers lost, {self.loops} loops"
        )


def figures(life: Life, since: float, before: tuple[int, int]) -> Figures:
    """Return what repairs have cost since a moment at which so much had been said."""
    net, dog = life.net, life.watchdog
    taken, cut = _told(life, _repairs(life.net, since)), _told(life, _cuts(life.net, since))
    requests, news = messages_of(net)
    stayed = [viewer for viewer in net.viewers if viewer.state != "left"]  # till what was missing had come
    return Figures(
        repairs=len(taken.had_way),
        without_gap=sum(wait == 0 for wait in taken.had_way),
        repairing=Waits.of([wait for wait in taken.had_way if wait]),
        cut=Waits.of(cut.had_way),
        without_way=taken.others,
        longest_gap=max((v.longest_gap for v in net.viewers if dog.had_way(v.node.name, since)), default=0.0),
        lost=sum(v.lost(net.repaired_by) for v in stayed if dog.had_way(v.node.name, since)),
        requests_each=(requests - before[0]) / max(len(taken.had_way), 1),
        news_each=(news - before[1]) / max(len(taken.had_way), 1),
        loops=dog.loops_seen,
        longest_loop=dog.longest_loop,
        copies=dog.copies_per_taker,
        hops=fmean(len(viewer.path) - 1 for viewer in net.viewers),
    )


@dataclass(frozen=True)
class _Told:
    """What nodes and clients have told of their waits, in round trips, and how many of them had no way."""

    had_way: Sequence[float]
    others: int


_Wait: TypeAlias = tuple[float, str, float]
"""When a node or a client told that a wait was over, who, and how many seconds it was."""


def _cuts(net: Network, since: float) -> list[_Wait]:
    """Return how long each was cut off."""
    return [(at, name, float(str(fields["after_ms"])) / 1000)
            for at, name, fields in net.said("fed") if at >= since]  # fmt: skip


def _repairs(net: Network, since: float) -> list[_Wait]:
    """Return how long after its cut each has taken another parent; 0: it was not cut off."""
    cut_since: dict[tuple[str, object], float] = {}
    repairs: list[_Wait] = []
    told = [(at, event, name, fields) for event in ("cut", "parent_taken", "fed", "begun_anew")
            for at, name, fields in net.said(event)]  # fmt: skip
    for at, event, name, fields in sorted(told, key=lambda each: each[0]):  # of one moment in that order
        place = name, fields["content"]
        if event == "cut":
            cut_since[place] = at
        elif event != "parent_taken":
            cut_since.pop(place, None)
        elif at >= since:
            repairs.append((at, name, at - cut_since.get(place, at)))
    return repairs


def _told(life: Life, waits: Sequence[_Wait]) -> _Told:
    had_way = [wait for at, name, wait in waits if life.watchdog.had_way(name, at - wait, at)]
    return _Told([wait / life.net.world.most_delay for wait in had_way], len(waits) - len(had_way))


def messages_of(net: Network) -> tuple[int, int]:
    """Return how many requests and answers, and how many other messages, have been sent so far."""
    nodes = net.everybody()
    return sum(node.requests for node in nodes), sum(node.news for node in nodes)


@dataclass
class Trial(Run):
    """A run that has figures in the end."""

    figures: Figures | None = None

    def told(self) -> Iterator[str]:
        yield str(self.figures)


def churn(
    seed: int, nodes: int = 20, *, loss: bool = False, offers: bool = False, standbys: int = 0,
    parents: int = 1, mixed: bool = False, live: bool = False,
) -> Trial:  # fmt: skip
    """One thing after another fails, of whatever kind, and is mended; viewers come meanwhile.

    At the end all viewers leave, and nothing is streamed for nobody.
    """
    life = Life.begin(seed, nodes, loss=loss, offers=offers, standbys=standbys, parents=parents, mixed=mixed,
                      live=live)  # fmt: skip
    trial = Trial(life.net, lambda: None)

    def play() -> None:
        since, before = life.net.now, messages_of(life.net)
        while life.net.now < since + 10:
            what = life.random.choices([life.fail, life.mend, life.join], [9, 7, 4])[0]
            what()
            life.net.run(life.random.uniform(0.2, 2.0))
        while life.down:
            life.mend()
        life.net.run(6)
        trial.figures = figures(life, since, before)
        life.net.world.control_loss = life.net.world.media_loss = 0.0
        # Who had no way for longer than a history may lack numbers of a live input: nobody has them any more.
        _check_all_is_well(life.net, lost=10**6 if live else 0)
        _check_all_ends(life.net)

    trial.play = play
    return trial


def crashes(
    seed: int, nodes: int = 40, *, seconds: float = 10.0, share: float = 0.01, parents: int = 1,
    links: Links | None = None, offers: bool = False, large: bool = False,
) -> Trial:  # fmt: skip
    """Such a share of all nodes crashes every second, and starts again 5 s later."""
    life = Life.begin(seed, nodes, parents=parents, links=links, offers=offers, large=large)
    trial = Trial(life.net, lambda: None)

    def crash_one() -> None:
        name = life.random.choice(sorted(set(life.net.nodes) - {"rp"}))
        if life.net.nodes[name].alive:
            life.net.kill(name)
            life.net.at(5.0, lambda: life._start(name))

    def play() -> None:
        since, before, due = life.net.now, messages_of(life.net), 0.0
        while life.net.now < since + seconds:
            due += max(share * nodes, 0.5) / 10
            while due >= 1:
                due -= 1
                crash_one()
            life.net.run(0.1)
        life.net.run(6)
        trial.figures = figures(life, since, before)
        _check_all_is_well(life.net, within=REST_OF_MANY_SECONDS if large else REST_SECONDS)

    trial.play = play
    return trial


def _check_all_is_well(net: Network, *, lost: int = 0, within: float = REST_SECONDS) -> None:
    net.settle(within)
    net.check_trees()
    net.check_media(lost=lost)


def _check_all_ends(net: Network) -> None:
    """Have all viewers leave; a stream outlives by some seconds who has died, and the last viewer below."""
    for viewer in net.viewers:
        viewer.leave()
    net.world.clock.run(40, lambda: all(node.core.is_idle for node in net.all_nodes()))
    net.run(4)
    net.settle(REST_SECONDS)
    net.check_empty()


TRIALS: Mapping[str, Callable[..., Trial]] = {"churn": churn, "resilience": crashes}


def played(name: str, seed: int, **options: float) -> Figures:
    """Play a trial to its end, and say how to see it again if it fails.

    What is played is what is said: both come from the same options.
    """
    with replayable(name, seed, **options):
        trial = TRIALS[name](seed, **options)
        trial.play()
    assert trial.figures is not None
    return trial.figures
