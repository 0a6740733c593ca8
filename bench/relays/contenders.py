"""Who is measured: mcast's own node, the limit that the kernel sets, and what others would use.

Whatever a contender is, it runs on the core under test, is fed with what mcast's rendezvous point really
emits, and delivers to the same number of children.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bench.relays.profile import Profile
from bench.relays.receivers import Owed, Receivers
from bench.relays.setting import MBITS, Setting
from bench.relays.verdict import Figures

INPUT_PORT, OUTPUT_PORT = 20_000, 30_000
"""Of the first content; the others follow."""
PER_NETWORK = 250
"""Addresses 127.0.N.1 to 127.0.N.250, then the next N."""
PAYLOAD_BYTES = 7 * 188
"""Of a full datagram of RTP."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many contents, each to so many children."""

    contents: int
    children: int
    first: int = 0  # which of the overlay's contents is the first
    mbits: float = MBITS  # of each content

    def __str__(self) -> str:
        return f"{self.contents} x {self.children}"

    def owed(self, seconds: float) -> Owed:
        """Return what each content owes to each of its children in so many seconds."""
        return Owed(seconds, self.mbits * 1e6 / 8 / PAYLOAD_BYTES * seconds)


@dataclass(frozen=True, slots=True)
class Running:
    """A contender at work."""

    pids: tuple[int, ...]
    receivers: Receivers | None = None  # None: its children are addresses, whoever receives there
    carries_rtp: bool = True  # so each loss is seen by the numbers, and by the content's rate
    settle_seconds: float = 2.0
    """Until joins and their fast starts are over, and it is as it will be for hours."""
    is_profiled: bool = False  # its threads are told one by one


@dataclass(frozen=True, slots=True)
class Window:
    """What a contender has shown in one window, which is its part of a round."""

    figures: Figures
    played: float = 1.0  # seconds of media a second, of the content that is behind most
    profile: Profile = field(default_factory=dict)


class Contender(Protocol):
    """One relay under test."""

    @property
    def name(self) -> str:
        """Return what tables call it."""

    @property
    def ready_seconds(self) -> float:
        """Return how long it takes, about, to start it, let it settle and end it: for the estimate."""

    def lacking(self) -> str:
        """Return what must be installed first; empty if nothing."""

    def running(self, setting: Setting, load: Load) -> AbstractContextManager[Running]:
        """Run it until all its children are fed. Raises ProgramError or RuntimeError."""


def child_address(number: int, network: int = 1) -> str:
    """Return the address of a content's child of this number."""
    return f"127.0.{network + number // PER_NETWORK}.{1 + number % PER_NETWORK}"
