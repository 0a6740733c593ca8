"""mcast's own node as a contender: this version, another one, or with other options."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.relays.contenders import OUTPUT_PORT, Load, Running, child_address
from bench.relays.machine import CORE_UNDER_TEST, family
from bench.relays.setting import Setting
from bench.relays.subscriptions import borrowing, subscribed
from mcast.media.history import MAX_SECONDS
from tools.demo.processes import ProgramProcess


@dataclass(frozen=True, slots=True)
class Node:
    """A real `mcast-node`."""

    name: str = "mcast"
    checkout: Path | None = None  # of other sources than these
    options: tuple[str, ...] = ()
    cores: str = str(CORE_UNDER_TEST)  # on which it runs

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
                # Measured once its histories are full.
                yield Running(family(node.pid), settle_seconds=MAX_SECONDS + 1.0)

    @contextlib.contextmanager
    def started(self, setting: Setting, name: str = "n1") -> Iterator[ProgramProcess]:
        """Run it as this node of the overlay, without children."""
        options = (*self.options, *setting.needs.node_options)
        with setting.overlay.node(name, checkout=self.checkout, options=options, cores=self.cores) as node:
            yield node


MCAST = Node()
