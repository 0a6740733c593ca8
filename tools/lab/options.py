"""What a link does to the packets that cross it, in one direction.

The meanings are CORE's, and CORE's are netem's: delay and jitter are one way; a rate is that of whole
Ethernet frames; the queue counts *every* packet inside the link, also those that are merely on their way.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from mcast.errors import ConfigError

NETEM_QUEUE = 1000  # packets: netem's own default, for links that say nothing about their queue
CORE_PACKET_BITS = 1500 * 8  # CORE counts a queue in packets of this size


class Changes(TypedDict, total=False):
    """The options that `shape` is told to change; what is absent stays as it is."""

    delay_us: int
    jitter_us: int
    rate: int
    loss: float
    duplicate: float
    buffer: int
    loss_burst: float
    reorder: bool


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """One direction of a link. Raises ConfigError for a combination that no link can have."""

    delay_us: int = 0
    jitter_us: int = 0  # uniform, delay - jitter to delay + jitter; never below 0
    rate: int = 0  # bits per second; 0: no limit
    loss: float = 0.0  # percent of the packets, in the long run
    duplicate: float = 0.0  # percent of the packets that arrive twice
    buffer: int = 0  # packets inside the link at most; 0: CORE's default (`queue`)
    loss_burst: float = 1.0  # mean length of a run of lost packets; 1: each loss is independent
    reorder: bool = False  # may jitter let a packet overtake another? (not together with a rate)

    def __post_init__(self) -> None:
        for name in ("delay_us", "jitter_us", "rate", "buffer"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it cannot be negative")
        for name in ("loss", "duplicate"):
            if not 0 <= getattr(self, name) <= 100:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 to 100 percent")
        if not self.loss_burst >= 1 or math.isinf(self.loss_burst):
            raise ConfigError(f"burst is {self.loss_burst:g}: a run of losses has 1 packet or more")
        if self.loss_burst > 1 and self.loss < 100 and self.gilbert[0] > 1:
            raise ConfigError(
                f"loss {self.loss:g} % needs runs longer than {self.loss_burst:g} packets: raise burst to "
                f"{math.ceil(self.loss / (100 - self.loss))} or lower loss"
            )

    @property
    def impairs(self) -> bool:
        """Return whether packets meet anything but a plain wire."""
        return any((self.delay_us, self.jitter_us, self.rate, self.loss, self.duplicate, self.buffer))

    @property
    def queue(self) -> int:
        """Return how many packets may be inside: `buffer`, else CORE's rule, else netem's default."""
        if self.buffer:
            return self.buffer
        if self.rate and self.delay_us:
            return max(2, math.ceil(2 * self.rate * self.delay_us / 1_000_000 / CORE_PACKET_BITS))
        return NETEM_QUEUE

    @property
    def gilbert(self) -> tuple[float, float]:
        """Return the chances (good to bad, bad to good) of the two-state chain that loses in bursts."""
        share = self.loss / 100
        leave = 1 / self.loss_burst
        return (leave * share / (1 - share) if share < 1 else 1.0), (leave if share < 1 else 0.0)

    def changed(self, changes: Changes) -> "LinkOptions":
        return replace(self, **changes)

    def netem(self) -> list[str]:
        """Return the same options as arguments of `tc qdisc ... netem`."""
        arguments = ["limit", str(self.queue)]
        if self.delay_us or self.jitter_us:
            arguments += ["delay", f"{self.delay_us}us", f"{self.jitter_us}us"]
        if self.loss and self.loss_burst > 1:
            arguments += ["loss", "gemodel", *(f"{100 * chance:g}%" for chance in self.gilbert)]
        elif self.loss:
            arguments += ["loss", f"{self.loss:g}%"]
        if self.duplicate:
            arguments += ["duplicate", f"{self.duplicate:g}%"]
        if self.rate:
            arguments += ["rate", f"{self.rate}bit"]
        elif self.jitter_us and not self.reorder:
            # netem lets jittered packets overtake each other unless they also wait for a rate
            arguments += ["rate", "100gbit"]
        return arguments

    def __str__(self) -> str:
        parts = [
            self.delay_us and f"delay {self.delay_us / 1000:g} ms",
            self.jitter_us and f"jitter {self.jitter_us / 1000:g} ms",
            self.rate and f"rate {self.rate / 1e6:g} Mbit/s",
            self.loss and f"loss {self.loss:g} %",
            self.loss and self.loss_burst > 1 and f"in runs of {self.loss_burst:g}",
            self.duplicate and f"dup {self.duplicate:g} %",
            (self.buffer or (self.rate and self.delay_us)) and f"queue {self.queue} packets",
        ]
        return ", ".join(part for part in parts if part) or "-"


_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_EXAMPLE = (
    "delay=20ms jitter=2ms rate=2mbit loss=1% burst=4 dup=0.1% buffer=50 reorder=yes "
    "(reset=yes forgets the rest)"
)


def parse_changes(words: Sequence[str]) -> Changes:
    """Return what `delay=20ms loss=1%`, arguments of the `shape` command, change."""
    changes: Changes = {}
    for word in words:
        key, _, text = word.partition("=")
        _read_change(changes, key, text, word)
    if not changes:
        raise ConfigError(f"shape: nothing to change; write for example: {_EXAMPLE}")
    return changes


def _read_change(changes: Changes, key: str, text: str, word: str) -> None:
    match key:
        case "delay":
            changes["delay_us"] = round(_quantity(text, _MICROSECONDS, word))
        case "jitter":
            changes["jitter_us"] = round(_quantity(text, _MICROSECONDS, word))
        case "rate":
            changes["rate"] = round(_quantity(text, _BITS, word))
        case "loss":
            changes["loss"] = _quantity(text, {"%": 1, "": 1}, word)
        case "dup":
            changes["duplicate"] = _quantity(text, {"%": 1, "": 1}, word)
        case "burst":
            changes["loss_burst"] = _quantity(text, {"": 1}, word)
        case "buffer":
            changes["buffer"] = round(_quantity(text, {"": 1}, word))
        case "reorder" if text in ("yes", "no"):
            changes["reorder"] = text == "yes"
        case "reset" if text == "yes":
            changes.update(NOTHING)
        case _:
            raise ConfigError(f"shape: {word!r} is not an option; write for example: {_EXAMPLE}")


NOTHING: Changes = {
    "delay_us": 0,
    "jitter_us": 0,
    "rate": 0,
    "loss": 0.0,
    "duplicate": 0.0,
    "buffer": 0,
    "loss_burst": 1.0,
    "reorder": False,
}


def _quantity(text: str, units: dict[str, int], word: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z%]*)", text.lower())
    if match and float(match[1]) == 0 and not match[2]:
        return 0.0
    if not match or match[2] not in units:
        wanted = ", ".join(f"a number and {unit}" if unit else "a number" for unit in units)
        raise ConfigError(f"shape: {word!r}: expected {wanted}")
    return float(match[1]) * units[match[2]]
