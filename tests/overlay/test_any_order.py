"""Whatever happens to a core, in whatever order: it raises nothing, and all that it decides can be sent.

Packets hold anything that one may hold; who and what they are about is drawn from a few names, numbers and
ids, so that they meet. What the shell never posts (an upstream of no `Subscribe`, media from one that has
not accepted) is left out; what comes too late, twice, or from somebody else is not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.overlay import actions as do
from mcast.overlay import events as ev
from mcast.overlay import trace
from mcast.overlay.further import usable
from mcast.overlay.node_core import NodeCore
from mcast.wire import node
from mcast.wire.frame import encode
from mcast.wire.identity import Identity
from mcast.wire.node import MissReason, Start, StopReason
from mcast.wire.position import MAX_NUMBER, Position
from mcast.wire.server import ContentInfo
from overlay.messages import N1, N2, N3, R1, R2, R3, RP, VIEWER
from wire.strategies import endpoints, hosts, tuples_of, unsigned

HERE = ip_address("10.0.0.1")
NAMES, CONTENTS, SERVERS = ("rp", "n2", "n3"), ("news", "films"), ("10.0.6.10:7000", "10.0.6.11:7000")
UPSTREAMS = st.integers(1, 8)

_nodes = st.sampled_from([RP, N1, N2, N3, VIEWER])
_contents, _names, _servers = st.sampled_from(CONTENTS), st.sampled_from(NAMES), st.sampled_from(SERVERS)
_positions = st.builds(Position, st.integers(1, 2), st.sampled_from([0, 7, MAX_NUMBER]))
_paths = st.lists(_nodes, min_size=1, max_size=node.MAX_PATH, unique=True).map(tuple)
_texts = st.sampled_from(["", "why", "é" * 200])
_versions = st.sampled_from([0, 1, 2, (1 << 32) - 1])
_connections = st.integers(1, 4)
_fixed: Mapping[str, Any] = {
    "request": st.sampled_from([R1, R2, R3]), "content": _contents,
    "hops": st.sampled_from([0, 1, 2, 31, 255]),
}  # fmt: skip
_discs = st.builds(
    node.Disc, **_fixed, sender=_nodes, remaining_ms=st.sampled_from([0, 1, 4000, (1 << 32) - 1]),
    excluded=tuples_of(_nodes), origin=st.none() | _nodes,
)  # fmt: skip
_streams = st.builds(
    node.Stream, **_fixed, sender=_nodes, resume=st.none() | _positions, buffer_bytes=unsigned(32),
    start=st.sampled_from(Start),
)  # fmt: skip
_answers = st.one_of(
    st.builds(node.Found, **_fixed, sender=_nodes),
    st.builds(node.Miss, **_fixed, reason=st.sampled_from(MissReason), text=_texts),
)
_ports = st.builds(
    node.Port, **_fixed, port=st.just(9), token=st.just(bytes(16)), path=_paths, stream=_positions,
    version=_versions, cut=st.booleans(), no_way=st.booleans(), leaving=st.booleans(),
    further=st.lists(hosts, max_size=node.MAX_FURTHER).map(tuple),
)  # fmt: skip
_infos = st.builds(
    ContentInfo, _contents, digest=st.sampled_from([b"", b"d" * 32]), running=tuples_of(_positions)
)

FROM_OTHERS: list[st.SearchStrategy[Any]] = [
    st.builds(ev.DiscReceived, _connections, _discs),
    st.builds(ev.StreamReceived, _connections, _streams),
    st.builds(ev.ConnectionGone, _connections, st.sampled_from(ev.Departure)),
    st.builds(ev.Drained, _contents, tuples_of(_connections)),
    st.builds(ev.Answered, _names, _answers),
    st.builds(ev.Unasked, _names, st.sampled_from([R1, R2, R3]), _texts),
    st.builds(ev.RoundTripMeasured, _names, st.sampled_from([0.0, 1.0, 1e6])),
    st.builds(ev.Advertised, _names, _contents, st.just(()) | _paths, st.booleans()),
    st.builds(ev.Introduced, _names, st.none() | unsigned(8), st.none() | endpoints),
    st.builds(ev.AdvertsLost, _names),
    st.builds(
        ev.ServerListed, _servers, st.lists(_infos, max_size=2, unique_by=lambda one: one.name).map(tuple)
    ),
    st.builds(ev.ServerMeasured, _servers, unsigned(32)),
    st.builds(ev.ServerLost, _servers, _texts),
    st.just(ev.TimePassed()),
]
OF_UPSTREAMS: list[st.SearchStrategy[Any]] = [
    st.builds(ev.Accepted, UPSTREAMS, _ports),
    st.builds(ev.Refused, UPSTREAMS, st.sampled_from(MissReason), _texts),
    st.builds(ev.Stopped, UPSTREAMS, st.sampled_from(StopReason), st.none() | st.just(MAX_NUMBER), _texts),
    st.builds(ev.ParentLost, UPSTREAMS, _texts),
    st.builds(ev.FeedChanged, UPSTREAMS, st.sampled_from(ev.Feed), unsigned(32)),
    st.builds(ev.Outdone, UPSTREAMS),
]
OWN: list[st.SearchStrategy[Any]] = [
    st.builds(ev.Wanted, _contents, st.just(10.0), st.sampled_from(Start), st.just(5.0)),
    st.builds(ev.Unwanted, _contents),
    st.builds(
        ev.LayoutChanged, st.lists(_names, unique=True).map(tuple), st.lists(_servers, unique=True).map(tuple)
    ),
    st.just(ev.Leaving()),
]
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([*FROM_OTHERS * 2, *OF_UPSTREAMS * 2, *OWN]).flatmap(lambda drawn: drawn),
        st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.3, 2.0, 11.0]),
    ),
    min_size=30,
    max_size=60,
)


class Shell:
    """What a program knows of what it has begun, so that most of what is drawn is about that.

    Hops of 255 mark what is told as it was drawn: from nobody who was asked, about nothing that is known.
    """

    def __init__(self, core: NodeCore) -> None:
        self._core, self._now = core, 0.0
        self._open: dict[int, do.Subscribe] = {}
        self._accepted: set[int] = set()
        self._asked: list[do.Ask] = []
        self._found: list[do.Reply] = []

    def tell(self, event: ev.Event, after: float) -> list[do.Action]:
        """Tell the core an event, if it can come; return the actions."""
        self._now += after
        event = self._aimed(event)
        if not self._can_come(event):
            return []
        if isinstance(event, ev.Accepted) and event.upstream in self._open:
            self._accepted.add(event.upstream)
        actions = self._core.handle(event, self._now)
        for action in actions:
            self._note(action)
        return actions

    def _note(self, action: do.Action) -> None:
        match action:
            case do.Subscribe():
                self._open[action.upstream] = action
                self._accepted.discard(action.upstream)  # what was told before was about nothing
            case do.Leave(upstream):
                del self._open[upstream]
            case do.Ask():
                self._asked = [*self._asked[-5:], action]
            case do.Reply(message=node.Found()):
                self._found = [*self._found[-5:], action]

    def _aimed(self, event: ev.Event) -> ev.Event:
        """Have an event be about something that was begun."""
        match event:
            case ev.Answered(answer=answer) if self._asked and answer.hops != 255:
                ask = self._asked[-1 - answer.hops % len(self._asked)]
                request, content = ask.disc.request, ask.disc.content
                return ev.Answered(ask.neighbour, replace(answer, request=request, content=content))
            case ev.StreamReceived(stream=stream) if self._found and stream.hops != 255:
                reply = self._found[-1 - stream.hops % len(self._found)]
                request, content = reply.message.request, reply.message.content
                return ev.StreamReceived(reply.connection, replace(stream, request=request, content=content))
            case ev.Accepted(port=port) if self._open and port.hops != 255:
                upstream = self._chosen(event.upstream)
                return ev.Accepted(upstream, replace(port, content=self._open[upstream].content))
            case ev.Refused() | ev.Stopped() | ev.ParentLost() | ev.FeedChanged() | ev.Outdone() if (
                self._open
            ):
                return replace(event, upstream=self._chosen(event.upstream))
        return event

    def _chosen(self, number: int) -> int:
        return list(self._open)[number % len(self._open)]

    def _can_come(self, event: ev.Event) -> bool:
        match event:
            case ev.Accepted(upstream, port):
                return upstream not in self._open or self._open[upstream].content == port.content
            case ev.Refused(upstream):
                return upstream not in self._accepted
            case (
                ev.Stopped(upstream)
                | ev.ParentLost(upstream)
                | ev.FeedChanged(upstream)
                | ev.Outdone(upstream)
            ):
                return upstream in self._accepted
        return True


def send(action: do.Action, me: Identity) -> None:
    """Write what a program sends because of an action."""
    match action:
        case do.Reply(message=message):
            encode(message)
        case do.Ask(disc=disc):
            encode(disc)
        case do.End(stop=stop):
            encode(stop)
        case do.Accept(stream=stream):
            _send_port(stream.request, stream.content, action.path, action.version, action.further)
        case do.Update():
            _send_port(R1, action.content, action.path, action.version, action.further)
        case do.Subscribe():
            encode(
                node.Stream(
                    request=action.request, content=action.content, sender=me, port=9,
                    hops=min(action.hops, 255), start=action.start,
                )
            )  # fmt: skip
        case do.Advertise():
            if len(action.path) <= node.MAX_PATH:
                encode(node.Advert(content=action.content, path=action.path, fed=action.fed))
        case do.Introduce():
            encode(node.Advert(distance=action.distance, takes_clients=True))


def _send_port(
    request: bytes, content: str, path: Iterable[Identity], version: int, further: Iterable[Any]
) -> None:
    encode(
        node.Port(
            request=request, content=content, port=9, token=bytes(16), path=tuple(path),
            stream=Position(1, MAX_NUMBER), version=version, further=usable(further, HERE),
        )
    )  # fmt: skip


def core_of(kind: str) -> NodeCore:
    core = NodeCore(RP if kind == "rendezvous" else N1, Random(1), rendezvous=kind == "rendezvous")
    core.handle(ev.LayoutChanged(NAMES, SERVERS if kind == "rendezvous" else ()), 0.0)
    if kind == "rendezvous":
        for server in SERVERS:
            core.handle(ev.ServerListed(server, tuple(ContentInfo(name) for name in CONTENTS)), 0.0)
    if kind == "client":
        core.handle(ev.Wanted("news", 10.0), 0.0)
    return core


@pytest.mark.parametrize("kind", ["node", "rendezvous", "client"])
@given(happenings=HAPPENINGS)
def test_whatever_happens_in_whatever_order_is_decided_and_can_be_sent(
    kind: str, happenings: list[tuple[ev.Event, float]]
) -> None:
    core = core_of(kind)
    shell = Shell(core)
    for event, after in happenings:
        actions = shell.tell(event, after)
        for action in actions:
            send(action, core.me)
        trace.step(0.0, event, actions)
