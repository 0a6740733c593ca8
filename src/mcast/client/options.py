"""What a subscription can be told, checked as a whole before anything is opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcast.config.key_file import NO_KEYS, KeyRing
from mcast.errors import ConfigError
from mcast.hostport import HostPort, parse_address
from mcast.net.ports import MediaPorts
from mcast.overlay.events import GIVE_UP_SECONDS
from mcast.wire.content import check_content_name
from mcast.wire.node import Start

DEFAULT_LATENCY_MS = 500
"""How long the output waits for a hole: several repairs of a lost datagram at 100 ms round trip."""
MAX_LATENCY_MS = 60_000
DEFAULT_PATIENCE = 10.0
"""Seconds to search for a way to the content: a neighbour that does not answer may be starting."""
DEFAULT_GIVE_UP = GIVE_UP_SECONDS
"""Seconds to search for another way when a stream that has begun comes no more."""
MAX_SECONDS = 2_000_000
"""23 days: more than anybody waits, and as much as poll() does, which counts milliseconds in 31 bits."""
MAX_PARENTS = 2
DEFAULT_QUEUE_BYTES = 32 * 1024 * 1024
"""50 s of 5 Mbit/s: a reader may be busy for so long before it loses anything."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one subscription, all of them usable."""

    neighbours: tuple[HostPort, ...]
    content: str
    latency_ms: int
    patience: float
    give_up: float
    start: Start
    media_ports: MediaPorts
    queue_bytes: int
    trace: Path | None
    keys: KeyRing = NO_KEYS
    parents: int = 1
    further: tuple[HostPort, ...] = ()  # whom to ask when no neighbour has a way


def check_neighbours(neighbours: Iterable[str]) -> tuple[HostPort, ...]:
    """Return the nodes to ask, each once. Raises ConfigError if there is none, or for no `HOST:PORT`."""
    if isinstance(neighbours, str):  # its characters would be taken for addresses
        neighbours = (neighbours,)
    checked = tuple(dict.fromkeys(check_neighbour(neighbour) for neighbour in neighbours))
    if not checked:
        raise ConfigError("no neighbour is given: name the nearest overlay node as HOST:PORT")
    return checked


def check_neighbour(text: str) -> HostPort:
    """Return the address of a node. Raises ConfigError if it lacks the host or the port."""
    address = parse_address(text, lowest_port=1)
    if not address.host:
        raise ConfigError(f"'{text}' has no host: write HOST:PORT")
    return address


def check_content(name: str) -> str:
    """Return a content's name. Raises ConfigError if no content can have it."""
    if not name:
        raise ConfigError("a content's name has at least one character")
    try:
        return check_content_name(name)
    except UnicodeEncodeError:  # a lone surrogate: an argument of a command line that was no UTF-8
        raise ConfigError(f"{name!r} is no UTF-8 text") from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def check_latency(milliseconds: int) -> int:
    """Return a latency. Raises ConfigError if it is out of range."""
    if not 0 <= milliseconds <= MAX_LATENCY_MS:
        raise ConfigError(f"{milliseconds} is no number of milliseconds from 0 to {MAX_LATENCY_MS}")
    return milliseconds


def check_seconds(seconds: float) -> float:
    """Return a time. Raises ConfigError if it is not above 0, or too long."""
    if not 0 < seconds <= MAX_SECONDS:
        raise ConfigError(f"{seconds:g} is no number of seconds above 0, at most {MAX_SECONDS}")
    return seconds


def check_parents(parents: int) -> int:
    """Return how many parents feed a client all the time. Raises ConfigError if it is neither 1 nor 2."""
    if not 1 <= parents <= MAX_PARENTS:
        raise ConfigError(f"{parents} is no number of parents: 1, or {MAX_PARENTS} by two ways at once")
    return parents


def check_queue(size: int) -> int:
    """Return the bound of a queue. Raises ConfigError if nothing fits into it."""
    if size < 1:
        raise ConfigError(f"a queue of {size} bytes holds nothing")
    return size


def check_start(name: str) -> Start:
    """Return where to begin. Raises ConfigError if there is no such place."""
    try:
        return Start[name.upper()]
    except KeyError:
        names = " or ".join(repr(start.name.lower()) for start in Start)
        raise ConfigError(f"{name!r} is no place to start from: {names}") from None
