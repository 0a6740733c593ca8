"""A core's life as JSON: what it was told, when, and what it answered.

The first line is a header that says who it is; each further one a step. As the core has no will of
its own, the same events give the same actions: a trace from the field is replayed against the code,
and a fault that somebody has seen becomes a test.

    {"trace": 1, "me": ..., "rendezvous": false, "seed": "5f..."}
    {"at": 12.25, "event": {"type": "StreamReceived", ...}, "actions": [{"type": "Accept", ...}]}
    {"left_out": 7}

The last of these stands for steps that were not written in time. Behind it nothing can be replayed.

Values are written so that they can be read back: bytes, members of enumerations, addresses and tuples
are marked, and each object names its class.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any, TypeAlias

import mcast.overlay.actions
import mcast.overlay.events
import mcast.wire.bootstrap
import mcast.wire.endpoint
import mcast.wire.identity
import mcast.wire.node
import mcast.wire.position
import mcast.wire.rtcp_app
import mcast.wire.server
from mcast.overlay.actions import Action
from mcast.overlay.chance import Chance
from mcast.overlay.events import Event
from mcast.overlay.node_core import NodeCore
from mcast.wire.identity import Identity

FORMAT = 1
_LEFT_OUT = "left_out"

Json: TypeAlias = Any
"""What `json` writes and reads."""

_MODULES: tuple[ModuleType, ...] = (
    mcast.overlay.events,
    mcast.overlay.actions,
    mcast.wire.node,
    mcast.wire.server,
    mcast.wire.identity,
    mcast.wire.position,
    mcast.wire.endpoint,
    mcast.wire.bootstrap,
    mcast.wire.rtcp_app,
)
_CLASSES: Mapping[str, type[Any]] = {
    name: value
    for module in reversed(_MODULES)
    for name, value in vars(module).items()
    if isinstance(value, type) and (is_dataclass(value) or issubclass(value, Enum))
}


class TraceError(ValueError):
    """A line that is no part of a trace."""


def header(me: Identity, *, rendezvous: bool, seed: bytes) -> Json:
    """Return the first line: whose trace it is, and what its chance began with."""
    return {"trace": FORMAT, "me": encode(me), "rendezvous": rendezvous, "seed": seed.hex()}


def step(now: float, event: Event, actions: Iterable[Action]) -> Json:
    """Return one line: what happened, and what the core said to it."""
    return {"at": now, "event": encode(event), "actions": [encode(action) for action in actions]}


def left_out(count: int) -> Json:
    """Return the line that stands for so many missing steps."""
    return {_LEFT_OUT: count}


def encode(value: object) -> Json:
    """Return a value as JSON that `decode` reads back."""
    match value:
        case Enum():
            return {"enum": type(value).__name__, "name": value.name}
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"bytes": value.hex()}
        case ipaddress.IPv4Address() | ipaddress.IPv6Address():
            return {"ip": str(value)}
        case tuple() | list():
            return [encode(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        named = {each.name: encode(getattr(value, each.name)) for each in fields(value)}
        return {"type": type(value).__name__, **named}
    raise TypeError(f"a trace cannot hold {value!r}")


_BROKEN = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a line raises that nobody has written with `encode`."""


def decode(value: Json) -> Any:
    """Return what `encode` was given. Raises TraceError."""
    try:
        return _decode(value)
    except TraceError:
        raise
    except _BROKEN as error:
        raise TraceError(f"{type(error).__name__}: {error}") from None


def _decode(value: Json) -> Any:
    match value:
        case list():
            return tuple(_decode(each) for each in value)
        case {"bytes": str(digits)}:
            return bytes.fromhex(digits)
        case {"ip": str(text)}:
            return ipaddress.ip_address(text)
        case {"enum": str(kind), "name": str(name)}:
            return _class(kind)[name]
        case {"type": str(kind), **named}:
            return _class(kind)(**{str(key): _decode(each) for key, each in named.items()})
        case dict():
            raise TraceError(f"a trace has no {value}")
    return value


@dataclass(frozen=True, slots=True)
class Difference:
    """A step to which today's code says something else."""

    line: int  # of the file, the header being 1
    event: Event
    recorded: tuple[Action, ...]
    replayed: tuple[Action, ...]


def seed_of(first: Json) -> bytes:
    """Return what the chance of a trace began with. Raises TraceError."""
    if not isinstance(first, dict) or first.get("trace") != FORMAT:
        raise TraceError(f"it does not begin with the header of format {FORMAT}")
    try:
        return bytes.fromhex(first["seed"])
    except _BROKEN as error:
        raise _broken(1, error) from None


def replay(lines: Iterable[Json], chance: Chance) -> Iterator[Difference]:
    """Tell a new core what an old one was told; yield where it decides otherwise. Raises TraceError.

    `chance` must be what the old one had: made of `seed_of` the first line.
    """
    steps = iter(lines)
    core = _core_of(next(steps, None), chance)
    for number, line in enumerate(steps, 2):
        now, event, recorded = _step_of(line, number)
        replayed = tuple(core.handle(event, now))
        if replayed != recorded:
            yield Difference(number, event, recorded, replayed)


def _broken(line: int, error: Exception) -> TraceError:
    return TraceError(f"line {line} cannot be read: {error}")


def _core_of(first: Json, chance: Chance) -> NodeCore:
    seed_of(first)
    try:
        me = decode(first["me"])
        if not isinstance(me, Identity):
            raise TraceError(f"{me} is nobody")
        return NodeCore(me, chance, rendezvous=bool(first["rendezvous"]))
    except _BROKEN as error:
        raise _broken(1, error) from None


def _step_of(line: Json, number: int) -> tuple[float, Event, tuple[Action, ...]]:
    try:
        if _LEFT_OUT in line:
            raise TraceError(f"{line[_LEFT_OUT]} steps were left out here, as they were not written in time")
        event, actions = decode(line["event"]), decode(line["actions"])
        if not isinstance(event, Event):
            raise TraceError(f"{event} is no event")
        return float(line["at"]), event, actions
    except _BROKEN as error:
        raise _broken(number, error) from None


def _class(name: str) -> type[Any]:
    if name not in _CLASSES:
        raise TraceError(f"a trace has no {name}")
    return _CLASSES[name]
