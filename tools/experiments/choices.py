"""What the rendezvous point says when it chooses a server: its log, read."""

import re
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

CHOICE = re.compile(
    r"\[(?P<content>[^\]]+)\] server choice (?P<place>\d+): (?P<address>\S+?): "
    r"(?:delay (?P<delay>\d+) us, latency (?P<latency>\d+) us, jitter (?P<jitter>\d+) us, "
    r"metric (?P<metric>\d+)|not measured yet)"
)
HEAD = ("choice", "server", "delay", "latency", "jitter", "metric")


class Figures(NamedTuple):
    """In microseconds, as the rendezvous point has them."""

    delay: int
    latency: int
    jitter: int
    metric: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice: all servers that have the content, the best first."""

    servers: tuple[tuple[str, Figures | None], ...]

    @property
    def best(self) -> str:
        return self.servers[0][0]

    def figures(self, server: str) -> Figures | None:
        """Give what is known of a server, by its host."""
        return dict(self.servers).get(server)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return [
            (str(place), server, *(_milliseconds(value) for value in figures or ("-",) * 4))
            for place, (server, figures) in enumerate(self.servers, 1)
        ]


def read_choices(log: str, content: str) -> list[Choice]:
    """Find all choices of a server for a content, the oldest first; hosts without their ports."""
    found = [match for match in CHOICE.finditer(log) if match["content"] == content]
    numbers, number = [], 0
    for match in found:
        number += match["place"] == "1"
        numbers.append(number)
    grouped = groupby(zip(numbers, found, strict=True), key=lambda item: item[0])
    return [Choice(tuple(_server(match) for _, match in group)) for number, group in grouped if number]


def _server(match: re.Match[str]) -> tuple[str, Figures | None]:
    host = match["address"].rpartition(":")[0]
    if match["delay"] is None:
        return host, None
    return host, Figures(*(int(match[key]) for key in Figures._fields))


def _milliseconds(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value / 1000:.2f} ms"
