"""All that is asked, and what the answers are to be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.relays import crowds, joins, latency, limits, memory, rates, searches
from bench.relays.contenders import Contender, Load, Window
from bench.relays.loads import COST, LOSS, MOST_LOSS, RATE, carrying
from bench.relays.nodes import Node
from bench.relays.setting import Needs, Setting
from bench.relays.sources import Sources
from bench.relays.tcp_peers import MEDIAMTX, NGINX, SRS, SRS_PROMPT, TcpPeer
from bench.relays.udp_peers import FFMPEG, GSTREAMER, LIMIT, MULTICAT, RIST, SINGLE, SOCAT, SRT, UdpPeer
from bench.relays.verdict import ROUNDS, Figures, Goal

Peer = UdpPeer | TcpPeer
COPIERS: tuple[Peer, ...] = (GSTREAMER, FFMPEG, MULTICAT, SOCAT, NGINX, MEDIAMTX, SRS, SRS_PROMPT)
"""Who copies a stream to many, and repairs nothing."""
OWN: tuple[Peer, ...] = (LIMIT, SINGLE)
"""The benchmark's own C relays, which are always there."""
FAILED_TRIES = "failed tries"
"""A figure of each window: a turn that failed is tried again, and that is not forgotten."""
NO_FAILED_TRY = Goal(0.0, FAILED_TRIES, by_worst=True)
"""Where all must be delivered: who drops children at every second start does not deliver all."""
NONE_FAILS = Goal(0.0, joins.FAILED, by_worst=True), NO_FAILED_TRY
ALL_DELIVERED = Goal(MOST_LOSS, LOSS, by_worst=True), NO_FAILED_TRY


@dataclass(frozen=True, slots=True)
class Row:
    """One question, who is asked beside mcast, and the goals."""

    name: str
    goals: tuple[Goal, ...]
    needs: Needs = field(default_factory=Needs)
    carry: Callable[[Contender, Setting, int], Sequence[Window]] | None = None  # asked of every contender
    ask: Callable[[Node, Setting], Figures] | None = None  # or of mcast's node alone
    peers: tuple[Peer, ...] = ()
    compared: str = ""  # the figure whose ratio to the limit is told
    is_quick: bool = False
    most_rounds: int = ROUNDS
    is_once: bool = False  # one turn is enough: it lasts, or there is no chance in it
    lives_on: bool = False  # who has been measured in one window can be measured in another at once
    window_times: float = 1.0  # a window is longer than others by so much
    turn_seconds: float = 0.0  # about, where it is not some time to settle and the windows

    def decides(self, name: str) -> bool:
        """Return whether the verdict depends on this contender; if not, a few rounds of it will do."""
        return any(name in (goal.contender, goal.reference) for goal in self.goals)

    def quick(self) -> "Row":
        """Return the same without those who are only there to compare with, and without foreign programs."""
        goals = tuple(goal for goal in self.goals if goal.reference in ("", *(relay.name for relay in OWN)))
        named = {LIMIT.name, *(goal.reference for goal in goals)}
        peers = tuple(peer for peer in self.peers if peer in OWN and peer.name in named)
        return replace(self, goals=goals, peers=peers)


def _load(
    name: str,
    load: Load,
    needs: Needs,
    bounds: dict[str, float],
    *others: Peer,
    is_quick: bool = False,
    trains: bool = False,
) -> Row:
    """Return a row about a fixed load.

    `bounds`: in proportion to whose cost mcast's may be how much. `trains`: children by UDP take trains
    whole, as mcast's own do; if not, the relay pays for the kernel's cutting, as for an ordinary player.
    """
    goals = [Goal(bound, COST, reference=reference) for reference, bound in bounds.items()]
    return Row(
        name, (*goals, *ALL_DELIVERED), replace(needs, contents=load.contents),
        carry=carrying(load, trains=trains), peers=(LIMIT, *others), compared=COST, is_quick=is_quick,
        lives_on=True,
    )  # fmt: skip


def _gathering(load: Load) -> tuple[Row, Row, Row]:
    """Return rows in which media is gathered for 40 ms, beside a relay that gathers for longer.

    By the node, for children that are ordinary players, and for those that are as mcast's own; and by the
    server for all nodes on the way, which spares the node the waking up as well.
    """
    gathers, paced = Needs(node_options=("--gather-ms", "40")), Needs(pace_ms=40)
    return (
        _load(f"{load}, --gather-ms 40", load, gathers, {"srs": 1.0}, SRS, SRS_PROMPT),
        _load(f"{load}, --gather-ms 40, children take trains", load, gathers, {"srs": 1.0}, SRS, trains=True),
        _load(f"{load}, --pace-ms 40, children take trains", load, paced, {"srs": 1.0}, SRS, trains=True),
    )


def _delay(name: str, load: Load) -> Row:
    goals = Goal(0.15, latency.HALF), Goal(1.2, latency.NEARLY_ALL, reference=LIMIT.name)
    return Row(
        name, goals, Needs(load.contents), carry=latency.delaying(load), peers=(LIMIT, SINGLE),
        compared=latency.NEARLY_ALL, lives_on=True, window_times=latency.TIMES,
    )  # fmt: skip


def _crowd(mbits: float, most: float) -> Row:
    def sources(files: Sources) -> list[Path]:
        return [files.noise(mbits)]

    return Row(
        f"1,000 viewers of {mbits:g} Mbit/s join one node at once",
        (Goal(most, crowds.LAST), *NONE_FAILS),
        Needs(sources=sources), ask=crowds.crowd, is_quick=mbits > 1, turn_seconds=13.0,
    )  # fmt: skip


ROWS = (
    _load("8 x 16", Load(8, 16), Needs(), {"limit": 1.25, "single": 0.6}, SINGLE, *COPIERS, is_quick=True),
    _load("8 x 16, --pace-ms 20", Load(8, 16), Needs(pace_ms=20), {"nginx-rtmp": 1.0}, NGINX),
    *_gathering(Load(8, 16)),
    _load("1 x 100", Load(1, 100), Needs(), {"limit": 1.25}, SINGLE, *COPIERS, is_quick=True),
    *_gathering(Load(1, 100)),
    _load("1 x 100, a link of 1 Gbit/s", Load(1, 100), Needs(link_mbits=1000.0), {"limit": 1.25}, SINGLE),
    _load("8 x 1", Load(8, 1), Needs(), {"limit": 2.0}, SINGLE),
    _load("50 x 10", Load(50, 10), Needs(), {"limit": 1.25}, SINGLE),
    _load("1 x 10, with repair", Load(1, 10), Needs(), {}, SRT, RIST),
    Row(
        "1 x 16, highest lossless rate",
        (Goal(0.9, RATE, reference="limit", is_least=True, capped_by=rates.FEED_LIMIT),),
        Needs(sources=rates.at_all_rates), carry=rates.highest_rate, peers=(LIMIT, SINGLE), compared=RATE,
        turn_seconds=50.0,
    ),
    _delay("a hop's delay, idle (1 x 1)", Load(1, 1)),
    _delay("a hop's delay, loaded (8 x 16)", Load(8, 16)),
    Row(
        "join behind 3 nodes that stream",
        (
            Goal(3.0, joins.KEYFRAME), Goal(3.3, joins.PICTURE), Goal(30.0, joins.WORST, by_worst=True),
            *NONE_FAILS,
        ),
        Needs(nodes=3), ask=joins.streaming, turn_seconds=16.0,
    ),
    Row(
        "join behind 5 nodes, nobody streams",
        (Goal(15.0, joins.KEYFRAME), Goal(45.0, joins.PICTURE), *NONE_FAILS),
        Needs(contents=10, nodes=5), ask=joins.not_streaming, turn_seconds=8.0,
    ),
    _crowd(0.5, 1.0),
    _crowd(5.0, 2.0),
    Row(
        "a node at its limit, 100 there first", ALL_DELIVERED, Needs(contents=limits.CONTENTS),
        ask=limits.besieged, turn_seconds=45.0,
    ),
    Row(
        "memory",
        (Goal(20.0, memory.BASE), Goal(memory.HISTORY_MIB, memory.CONTENT), Goal(4.0, memory.CHILD)),
        ask=memory.weigh, turn_seconds=19.0,
    ),
    Row(
        "memory after a minute of churn, 4 contents",
        (
            Goal(40.0 + memory.CHURN_CONTENTS * memory.HISTORY_MIB, memory.CHURNED),
            Goal(0.95, memory.FED, is_least=True, by_worst=True), NO_FAILED_TRY,
        ),
        Needs(contents=memory.CHURN_CONTENTS), ask=memory.churn, is_once=True, turn_seconds=62.0,
    ),
    Row(
        "discovery, 1,000 nodes of degree 4",
        (Goal(60.0, searches.FIRST, by_worst=True), Goal(10.0, searches.LATE, by_worst=True)),
        carry=searches.search, is_once=True, turn_seconds=60.0,
    ),
)  # fmt: skip
