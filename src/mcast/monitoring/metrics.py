"""The overlay as Prometheus reads it (text format 0.0.4): names, types and units by its conventions. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mcast.monitoring.view import View, viewers_of
from mcast.wire.bootstrap import NodeKind
from mcast.wire.health import StreamHealth

KIND = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Family:
    """One metric: what it means, and its samples."""

    name: str
    kind: str
    text: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def add(self, value: float | None, **labels: str) -> None:
        """Add a sample, unless its value is not known."""
        if value is not None:
            self.samples.append((labels, value))

    def lines(self) -> Iterator[str]:
        """Write it down, unless it has no samples."""
        if self.samples:
            yield f"# HELP {self.name} {self.text}"
            yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            named = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            yield f"{self.name}{{{named}}} {value:.15g}" if named else f"{self.name} {value:.15g}"


def metrics(view: View, events: Mapping[str, int]) -> str:
    """Return all metrics; `events` is how often each event has come."""
    parts = (_of_nodes, _of_streams, _of_delays, _of_parents, _of_servers)
    families = [family for part in parts for family in part(view)]
    counted = Family("mcast_events_total", "counter", "Events that nodes and bootstrapper have told.")
    for name, count in sorted(events.items()):
        counted.add(count, event=name)
    return "".join(f"{line}\n" for family in [*families, counted] for line in family.lines())


def _of_nodes(view: View) -> Iterable[Family]:
    up = Family("mcast_node_up", "gauge", "Whether a node of the layout is up.")
    info = Family("mcast_node_info", "gauge", "What a node is, and the version that runs there.")
    uptime = Family("mcast_node_uptime_seconds", "gauge", "Seconds since the node has begun.")
    cpu = Family("mcast_node_cpu_ratio", "gauge", "Part of one core that the node uses.")
    memory = Family("mcast_node_resident_memory_bytes", "gauge", "Memory that the node holds.")
    silence = Family("mcast_node_silence_seconds", "gauge", "Seconds since the node's last report.")
    for name in view.layout.nodes:
        status = view.nodes.get(name)
        up.add(status is not None, node=name)
        if status is None:
            continue
        kind = "rendezvous" if view.layout.kind_of(name) is NodeKind.RENDEZVOUS else "overlay"
        info.add(1, node=name, kind=kind, version=status.health.program)
        uptime.add(status.uptime_ms / 1000, node=name)
        cpu.add(status.health.cpu_permille / 1000, node=name)
        memory.add(status.health.memory_kb * 1024, node=name)
        silence.add(round(view.silence(status), 3), node=name)
    return up, info, uptime, cpu, memory, silence


_REPORTED: tuple[tuple[str, str, str, Callable[[StreamHealth], float]], ...] = (
    ("received_datagrams_total", "counter", "Datagrams of a content that have come, each once.",
     lambda stream: stream.datagrams),
    ("received_bytes_total", "counter", "Bytes in these datagrams.", lambda stream: stream.octets),
    ("repaired_datagrams_total", "counter", "Datagrams that came when they were asked for.",
     lambda stream: stream.repaired),
    ("nacks_total", "counter", "NACKs that were sent for what was missing.", lambda stream: stream.nacks),
    ("missing_datagrams", "gauge", "Datagrams that are missing now, or for good.",
     lambda stream: stream.lost),
    ("longest_gap_seconds", "gauge", "The longest time between two new datagrams.",
     lambda stream: stream.longest_gap_ms / 1000),
    ("parent_changes_total", "counter", "How often another parent has taken over.",
     lambda stream: stream.parent_changes),
    ("discontinuities_total", "counter", "How often another stream was taken, as one could not go on.",
     lambda stream: stream.discontinuities),
    ("fed", "gauge", "Whether media of a content reaches the node.", lambda stream: stream.fed),
    ("children", "gauge", "Nodes and viewers that the node feeds.", lambda stream: stream.child_count),
    ("viewers", "gauge", "Viewers that the node feeds.", viewers_of),
)  # fmt: skip
"""What a node tells of a content: the name behind "mcast_node_", the type, the help, and the figure."""


def _of_streams(view: View) -> Iterator[Family]:
    for name, kind, text, figure in _REPORTED:
        family = Family(f"mcast_node_{name}", kind, text)
        for node, stream in view.streams():
            family.add(figure(stream), node=node, content=stream.content)
        yield family


def _of_delays(view: View) -> Iterable[Family]:
    delay = Family(
        "mcast_node_delay_seconds", "gauge", "From the server to the node: half of each round trip, added up."
    )
    by_clock = Family(
        "mcast_node_clock_delay_seconds", "gauge", "From the server to the node, by the clocks of both."
    )
    viewers_delay = Family(
        "mcast_node_viewer_clock_delay_seconds",
        "gauge",
        "From the server to the latest of the node's viewers, by the clocks of both.",
    )
    for name, stream in view.streams():
        about = {"node": name, "content": stream.content}
        delay.add(_seconds(view.delay_ms(name, stream.content)), **about)
        by_clock.add(_seconds(view.clock_delay_ms(name, stream)), **about)
        viewers_delay.add(_seconds(view.latest_viewer_ms(name, stream)), **about)
    return delay, by_clock, viewers_delay


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _of_parents(view: View) -> Iterable[Family]:
    trip = Family("mcast_parent_round_trip_seconds", "gauge", "Round trip to a parent of a content.")
    new = Family(
        "mcast_parent_new_datagrams_total", "counter", "Datagrams that this parent was the first to bring."
    )
    for name, stream in view.streams():
        for parent in stream.parents:
            about = {"node": name, "content": stream.content, "parent": parent.name}
            trip.add(parent.round_trip_us / 1e6 if parent.round_trip_us else None, **about)
            new.add(parent.new, **about)
    return trip, new


def _of_servers(view: View) -> Iterable[Family]:
    up = Family("mcast_server_up", "gauge", "Whether a server answers the rendezvous point.")
    delay = Family("mcast_server_delay_seconds", "gauge", "The newest round trip to a server.")
    latency = Family("mcast_server_latency_seconds", "gauge", "The average of the last round trips.")
    jitter = Family("mcast_server_jitter_seconds", "gauge", "Their variation.")
    for address, told in view.servers().items():
        up.add(told is not None, server=address)
        if told is not None:
            delay.add(told.delay_us / 1e6, server=address)
            latency.add(told.latency_us / 1e6, server=address)
            jitter.add(told.jitter_us / 1e6, server=address)
    return up, delay, latency, jitter


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
