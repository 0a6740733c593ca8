"""mcast's own node as a contender: this version, another one, or with other options."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.relays.contenders import OUTPUT_PORT, Load, Running, child_address
from bench.relays.machine import CORE_UNDER_TEST, family
from bench.relays.setting import MBITS, Setting
from bench.relays.subscriptions import borrowing, subscribed
from mcast.media.history import DEFAULT_BOUNDS
from mcast.wire.rtp import HEADER_SIZE
from tools.demo.processes import ProgramProcess

DATAGRAM = HEADER_SIZE + 7 * 188
LEAST_SETTLE_SECONDS = 2.0


def settle_seconds(mbits: float) -> float:
    """Return when a history at this rate is full, and a little longer.

    Until then each train costs a node new memory, which it does not in the hours that follow.
    """
    bounds, datagrams = DEFAULT_BOUNDS, mbits * 1e6 / 8 / DATAGRAM
    full = min(bounds.seconds, bounds.datagrams / datagrams, bounds.bytes / (datagrams * DATAGRAM))
    return max(full + 1.0, LEAST_SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Node:
    """A real `mcast-node`."""

    name: str = "mcast"
    checkout: Path | None = None  # of other sources than these
    options: tuple[str, ...] = ()
    cores: str = str(CORE_UNDER_TEST)  # on which it runs

    @property
    def ready_seconds(self) -> float:
        return settle_seconds(MBITS) + 2.0

    def lacking(self) -> str:
        return ""

    @contextlib.contextmanager
    def running(self, setting: Setting, load: Load) -> Iterator[Running]:
        overlay = setting.overlay
        contents = overlay.contents[load.first : load.first + load.contents]
        addresses = [child_address(number) for number in range(load.children)]
        with self.started(setting) as node:
            children = borrowing(setting.loop, overlay.addresses["n1"], contents, addresses, OUTPUT_PORT)
            with subscribed(setting.loop, children):
                yield Running(family(node.pid), settle_seconds=settle_seconds(load.mbits), is_profiled=True)

    @contextlib.contextmanager
    def started(self, setting: Setting, name: str = "n1") -> Iterator[ProgramProcess]:
        """Run it as this node of the overlay, without children."""
        options = (*self.options, *setting.needs.node_options)
        with setting.overlay.node(name, checkout=self.checkout, options=options, cores=self.cores) as node:
            yield node


MCAST = Node()
