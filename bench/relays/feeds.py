"""How a contender that is no node gets what mcast's rendezvous point emits.

A child of the rendezvous point borrows a port: the contender's own, or that of a small C program on the other
core, which sends the same trains on to a contender that wants bare TS, or to a multicast group where it
takes several processes that must all hear the same.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

from bench.relays.contenders import INPUT_PORT, Load
from bench.relays.machine import OTHER_CORE, on_core
from bench.relays.receivers import C_PROGRAMS
from bench.relays.setting import Setting
from bench.relays.subscriptions import borrowing, subscribed
from mcast.wire.node import Start
from tools.demo.processes import ProgramProcess, stop_all, wait_until

FEED_PORT = 24_000
BORROWER = "127.0.200.1"
"""A contender's own address, where it is a child."""
GROUP = "239.255.77"


class Form(Enum):
    """What comes to a contender's input."""

    RTP = "trains"
    TS = "payload"


def group(index: int) -> str:
    """Return the multicast group of a content."""
    return f"{GROUP}.{1 + index}"


@contextlib.contextmanager
def fed(setting: Setting, load: Load, form: Form, *, by_group: bool) -> Iterator[None]:
    """Feed the input ports of all contents: INPUT_PORT and those after it."""
    overlay = setting.overlay
    contents = overlay.contents[load.first : load.first + load.contents]
    direct = form is Form.RTP and not by_group
    port = INPUT_PORT if direct else FEED_PORT
    # Who understands TS has to hear its tables first; the others take whatever comes.
    start = Start.KEYFRAME if form is Form.TS else Start.LIVE
    children = borrowing(setting.loop, overlay.addresses["rp"], contents, [BORROWER], port, start)
    with contextlib.ExitStack() as stack:
        if not direct:
            targets = [group(at) if by_group else "127.0.0.1" for at in range(load.contents)]
            stack.enter_context(_forwarder(setting.folder, form, targets))
        stack.enter_context(subscribed(setting.loop, children))
        yield


@contextlib.contextmanager
def _forwarder(folder: Path, form: Form, targets: Sequence[str]) -> Iterator[None]:
    routes = folder / "feed-routes"
    routes.write_text(
        "".join(f"{FEED_PORT + at} {host}:{INPUT_PORT + at}\n" for at, host in enumerate(targets))
    )
    command = on_core(OTHER_CORE, [str(C_PROGRAMS / "relay"), form.value, str(routes)])
    program = ProgramProcess("feed", command, folder / "feed.log")
    try:
        wait_for_ports(range(FEED_PORT, FEED_PORT + len(targets)), 1, "the feed")
        yield
    finally:
        stop_all([program])


def wait_for_ports(ports: range, sockets: int, whose: str) -> None:
    """Wait until so many UDP sockets have each of these ports. Raises ProgramError."""
    wait_until(lambda: all(_bound()[port] >= sockets for port in ports), f"the input ports of {whose}")


def _bound() -> Counter[int]:
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    return Counter(int(row.split()[1].split(":")[1], 16) for row in rows)
