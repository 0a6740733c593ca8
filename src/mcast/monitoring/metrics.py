"""The overlay as Prometheus reads it (text format 0.0.4): names, types and units by its conventions. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mcast.monitoring.view import View, viewers_of
from mcast.wire.bootstrap import NodeKind

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
    families = [*_of_nodes(view), *_of_streams(view), *_of_parents(view), *_of_servers(view)]
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


def _of_streams(view: View) -> Iterable[Family]:
    datagrams = Family(
        "mcast_node_received_datagrams_total", "counter", "Datagrams of a content that have come, each once."
    )
    octets = Family("mcast_node_received_bytes_total", "counter", "Bytes in these datagrams.")
    repaired = Family(
        "mcast_node_repaired_datagrams_total",
        "counter",
        "Datagrams that came when they were asked for.",
    )
    missing = Family("mcast_node_missing_datagrams", "gauge", "Datagrams that are missing now, or for good.")
    fed = Family("mcast_node_fed", "gauge", "Whether media of a content reaches the node.")
    children = Family("mcast_node_children", "gauge", "Nodes and viewers that the node feeds.")
    viewers = Family("mcast_node_viewers", "gauge", "Viewers that the node feeds.")
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
        datagrams.add(stream.datagrams, **about)
        octets.add(stream.octets, **about)
        repaired.add(stream.repaired, **about)
        missing.add(stream.lost, **about)
        fed.add(stream.fed, **about)
        children.add(stream.child_count, **about)
        viewers.add(viewers_of(stream), **about)
        delay.add(_seconds(view.delay_ms(name, stream.content)), **about)
        by_clock.add(_seconds(view.clock_delay_ms(name, stream)), **about)
        viewers_delay.add(_seconds(view.latest_viewer_ms(name, stream)), **about)
    return datagrams, octets, repaired, missing, fed, children, viewers, delay, by_clock, viewers_delay


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
