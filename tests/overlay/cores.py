"""Cores for tests, brought to where a test begins."""

from collections.abc import Iterable
from random import Random

from mcast.overlay import actions as do
from mcast.overlay.events import (
    Accepted,
    Answered,
    DiscReceived,
    LayoutChanged,
    RoundTripMeasured,
    ServerListed,
    StreamReceived,
)
from mcast.overlay.node_core import NodeCore
from mcast.wire.identity import Identity
from mcast.wire.node import Miss, MissReason
from mcast.wire.server import ContentInfo
from overlay.messages import N1, R1, RP, VIEWER, disc, found, port, stream

SERVERS = ("10.0.6.10:7000", "10.0.6.11:7000", "10.0.6.12:7000", "10.0.6.13:7000")


def node(*neighbours: str, me: Identity = N1, **round_trips: float) -> NodeCore:
    """Return an overlay node with neighbours, some of them with a measured round trip in ms."""
    core = NodeCore(me, Random(1))
    core.handle(LayoutChanged((*neighbours, *round_trips)), 0.0)
    for name, round_trip_ms in round_trips.items():
        core.handle(RoundTripMeasured(name, round_trip_ms), 0.0)
    return core


def rendezvous(
    *contents: str, servers: Iterable[str] = SERVERS[:1], neighbours: Iterable[str] = ()
) -> NodeCore:
    """Return a rendezvous point whose servers have all said that they have these contents."""
    core = NodeCore(RP, Random(1), rendezvous=True)
    servers = tuple(servers)
    core.handle(LayoutChanged(tuple(neighbours), servers), 0.0)
    for server in servers:
        core.handle(ServerListed(server, tuple(ContentInfo(name) for name in contents)), 0.0)
    return core


def fed_node(*path: Identity) -> NodeCore:
    """Return n1, which feeds news from rp (upstream 1) to the viewer on connection 1."""
    core = node("rp", "n2")
    core.handle(DiscReceived(1, disc()), 0.0)
    core.handle(Answered("rp", found()), 0.1)
    core.handle(StreamReceived(1, stream()), 0.2)
    core.handle(Accepted(1, port(*(path or (RP,)))), 0.3)
    return core


def misses(actions: Iterable[do.Action]) -> list[MissReason]:
    """Return the reasons of all refusals among actions."""
    return [a.message.reason for a in actions if isinstance(a, do.Reply) and isinstance(a.message, Miss)]


def asked(actions: Iterable[do.Action]) -> dict[str, int]:
    """Return who is asked, and the time left that each is given in ms."""
    return {action.neighbour: action.disc.remaining_ms for action in actions if isinstance(action, do.Ask)}


def without_announcements(actions: Iterable[do.Action]) -> list[do.Action]:
    """Return what is done, but not what is only said to people."""
    return [action for action in actions if not isinstance(action, do.Announce)]


def add_viewer(core: NodeCore, connection: int, now: float) -> list[do.Action]:
    """Let a further viewer ask a node that is fed."""
    raw = connection.to_bytes(16, "big")
    sender = VIEWER if connection == 1 else Identity.client(raw)
    return core.handle(StreamReceived(connection, stream(R1 if connection == 1 else raw, sender=sender)), now)
