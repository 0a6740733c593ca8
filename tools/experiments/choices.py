"""What the rendezvous point says when it chooses a server: the events in its log."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tools.demo.event_log import LoggedEvent

HEAD = ("choice", "server", "delay", "latency", "jitter", "metric")


class LoggedFigures(NamedTuple):
    """In microseconds, as the rendezvous point has them."""

    delay: int
    latency: int
    jitter: int
    metric: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice: all servers that have the content, the best first."""

    servers: tuple[tuple[str, LoggedFigures | None], ...]

    @property
    def best(self) -> str:
        return self.servers[0][0]

    def figures(self, server: str) -> LoggedFigures | None:
        """Return what is known of a server, by its host."""
        return dict(self.servers).get(server)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [
            (str(place), server, *(_milliseconds(value) for value in figures or ("-",) * 4))
            for place, (server, figures) in enumerate(self.servers, 1)
        ]


def read_choices(events: Iterable[LoggedEvent], content: str) -> list[Choice]:
    """Find all choices of a server for a content, the oldest first; hosts without their ports."""
    choices: list[list[tuple[str, LoggedFigures | None]]] = []
    for event in events:
        if event.name == "server_choice" and event.text("content") == content:
            if event.number("place") == 1:
                choices.append([])
            if choices:
                choices[-1].append((event.text("server").rpartition(":")[0], _figures(event)))
    return [Choice(tuple(servers)) for servers in choices]


def _figures(event: LoggedEvent) -> LoggedFigures | None:
    """Return what was measured; None if nothing was, yet."""
    if event.line["metric"] is None:
        return None
    return LoggedFigures(*map(event.number, ("delay_us", "latency_us", "jitter_us", "metric")))


def _milliseconds(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value / 1000:.2f} ms"
