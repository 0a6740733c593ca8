"""The overlay as JSON: `/api/overlay`, `/api/contents` (docs/monitoring.md). The names in it are promises.

Numbers say their unit in their name; what is not known is null. Pure.
"""

from collections.abc import Iterable
from typing import TypeAlias

from mcast.monitoring.registry import NodeStatus, children_of
from mcast.monitoring.view import View, primary_of, viewers_of
from mcast.wire.health import ContentHealth, ServerHealth, StreamHealth
from mcast.wire.identity import IdentityKind

API_VERSION = 1

Json: TypeAlias = dict[str, object]


def overlay(view: View) -> Json:
    """Return everything that there is."""
    return {
        "version": API_VERSION,
        "rendezvous": list(view.layout.rendezvous),
        "nodes": [node(view, name) for name in view.layout.nodes],
        "links": links(view),
        "servers": servers(view),
        "contents": contents(view),
        "unwatched": unwatched(view),
    }


def links(view: View) -> list[list[str]]:
    """Return the links of the layout, each once."""
    pairs = {tuple(sorted((name, link.neighbour))) for name, out in view.layout.links.items() for link in out}
    return [list(pair) for pair in sorted(pairs)]


def node(view: View, name: str) -> Json:
    """Return how a node of the layout is."""
    status = view.nodes.get(name)
    told: Json = {
        "name": name,
        "kind": view.layout.kind_of(name).name.lower(),
        "address": str(view.layout.nodes[name].address),
        "joined": name in view.layout.joined,
        "up": status is not None,
    }
    return told if status is None else {**told, **_up(view, status)}


def _up(view: View, status: NodeStatus) -> Json:
    health, streams = status.health, status.streams.values()
    return {
        "program": health.program or None,
        "uptime_s": round(status.uptime_ms / 1000),
        "cpu_percent": health.cpu_permille / 10,
        "memory_bytes": health.memory_kb * 1024 or None,
        "children": sum(stream.child_count for stream in streams),
        "viewers": sum(viewers_of(stream) for stream in streams),
        "beyond": list(health.beyond),
        "streams": [_stream(view, status, stream) for stream in streams],
    }


def _stream(view: View, status: NodeStatus, stream: StreamHealth) -> Json:
    rates = status.rates(stream.content)
    return {
        "content": stream.content,
        "fed": stream.fed,
        "path": [str(each) for each in stream.path],
        "parents": [
            {
                "name": parent.name,
                "server": parent.is_server,
                "primary": parent.is_primary,
                "round_trip_ms": _milliseconds(parent.round_trip_us),
                "new_datagrams": parent.new,
            }
            for parent in stream.parents
        ],
        "child_count": stream.child_count,
        "viewers": viewers_of(stream),
        "children": [
            {
                "name": str(child.identity),
                "viewer": child.identity.kind is IdentityKind.CLIENT,
                "round_trip_ms": _milliseconds(child.round_trip_us),
                "delay_ms": _known(view.delay_to_ms(child, status.name, stream.content)),
                "clock_delay_ms": _known(view.clock_delay_to_ms(child, status.name, stream.content)),
            }
            for child in children_of(stream)
        ],
        "delay_ms": _known(view.delay_ms(status.name, stream.content)),
        "clock_delay_ms": _known(view.clock_delay_ms(status.name, stream)),
        "bit_rate": round(rates.bit_rate),
        "lost_before_repair_percent": _rounded(100 * rates.lost_before_repair),
        "lost_percent": _rounded(100 * rates.lost),
        "received_datagrams": stream.datagrams,
        "received_bytes": stream.octets,
        "missing_datagrams": stream.lost,
        "repaired_datagrams": stream.repaired,
        "nack_sent": stream.nacks,
        "longest_gap_ms": stream.longest_gap_ms,
        "parent_changes": stream.parent_changes,
        "discontinuities": stream.discontinuities,
        "ssrc": f"{stream.position.ssrc:08x}",
        "next": stream.position.next,
    }


def servers(view: View) -> list[Json]:
    """Return the servers, as the rendezvous point that serves measures them."""
    served = view.served()
    return [_server(address, told, served.get(address, [])) for address, told in view.servers().items()]


def _server(address: str, told: ServerHealth | None, serves: list[str]) -> Json:
    return {
        "address": address,
        "up": told is not None,
        "serves": sorted(serves),
        "delay_us": told and told.delay_us,
        "latency_us": told and told.latency_us,
        "jitter_us": told and told.jitter_us,
        "metric": told and told.metric,
    }


def contents(view: View) -> list[Json]:
    """Return the contents that are streamed."""
    streams: dict[str, list[tuple[str, StreamHealth]]] = {}
    for name, stream in view.streams():
        streams.setdefault(stream.content, []).append((name, stream))
    return [_content(view, content, streams[content]) for content in sorted(streams)]


def unwatched(view: View) -> list[str]:
    """Return the names of the contents that servers have and nobody watches."""
    streaming = {stream.content for _, stream in view.streams()}
    return sorted(view.catalogue().keys() - streaming)


def catalogue(view: View) -> list[Json]:
    """Return all contents that servers have or that are streamed, each with how it is streamed."""
    streaming = {str(each["name"]): each for each in contents(view)}
    known = view.catalogue()
    return [
        {
            **streaming.get(name, _not_streamed(name)),
            "streaming": name in streaming,
            **_about(known.get(name)),
        }
        for name in sorted(streaming.keys() | known.keys())
    ]


def _not_streamed(name: str) -> Json:
    numbers = dict.fromkeys(("nodes", "cut_nodes", "viewers", "bit_rate", "depth"), 0)
    return {"name": name, "server": None, **numbers}


def _about(told: ContentHealth | None) -> Json:
    """Return what servers say of a content: nothing, if an older rendezvous point tells of none."""
    if told is None:
        return {**dict.fromkeys(_ABOUT), "servers": []}
    figures = (
        told.format or None, told.duration_ms / 1000 or None, told.bit_rate or None, told.width or None,
        told.height or None, told.loop, told.digest.hex() or None, told.readiness.name.lower(),
    )  # fmt: skip
    return {**dict(zip(_ABOUT, figures, strict=True)), "servers": list(told.servers)}


_ABOUT = (
    "format", "duration_s", "listed_bit_rate", "width", "height", "loop", "digest", "readiness",
)  # fmt: skip


def _content(view: View, content: str, streams: Iterable[tuple[str, StreamHealth]]) -> Json:
    told = list(streams)
    parents = [parent for _, stream in told if (parent := primary_of(stream)) and parent.is_server]
    return {
        "name": content,
        "server": parents[0].name if parents else None,
        "nodes": len(told),
        "cut_nodes": sum(not stream.fed for _, stream in told),
        "viewers": sum(viewers_of(stream) for _, stream in told),
        "bit_rate": round(max(view.nodes[name].rates(content).bit_rate for name, _ in told)),
        "depth": max(len(stream.path) for _, stream in told),
    }


def _milliseconds(microseconds: int) -> float | None:
    return microseconds / 1000 if microseconds else None


def _known(figure: float | None) -> float | None:
    return None if figure is None else _rounded(figure)


def _rounded(figure: float) -> float:
    return round(figure, 3)
