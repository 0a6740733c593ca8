"""Who is measured: mcast's own node, the limit that the kernel sets, and what others would chain.

Each is fed with what mcast's rendezvous point really emits. A node takes part itself; for all others a
child of the rendezvous point borrows their input port.
"""

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.relays.children import Child, Loop
from bench.relays.machine import CORE_UNDER_TEST, on_core
from bench.relays.overlay import Overlay
from mcast.wire.node import Start
from tools.demo.processes import ProgramProcess, stop_all, wait_until

C_PROGRAMS = Path(__file__).parents[1] / "c"
INPUT_PORT, OUTPUT_PORT = 20_000, 30_000
"""Of the first content; the others follow."""
JOIN_SECONDS = 120.0
PER_NETWORK = 250
"""Addresses 127.0.N.1 to 127.0.N.250, then the next N."""
OWN_NETWORK = 200
"""That of a contender's own address, where it is a child."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One relay under test. Its command has `{routes}`, or a process each content: `{port}`, `{targets}`."""

    name: str
    command: str = ""  # none: mcast's node
    checkout: Path | None = None  # of mcast's node: other sources than these
    options: tuple[str, ...] = ()  # of mcast's node
    comma: str = ","  # between two targets

    @property
    def is_node(self) -> bool:
        return not self.command

    @property
    def each(self) -> bool:
        return "{port}" in self.command

    def is_installed(self) -> bool:
        return self.is_node or shutil.which(shlex.split(self.command)[0]) is not None


MCAST = Contender("mcast")
LIMIT = Contender("limit", f"{C_PROGRAMS}/relay trains {{routes}}")
SINGLE = Contender("single", f"{C_PROGRAMS}/relay single {{routes}}")
PEERS = (
    Contender(
        "gstreamer",
        "gst-launch-1.0 -q udpsrc port={port} buffer-size=8388608 ! "
        "multiudpsink clients={targets} sync=false async=false buffer-size=8388608",
    ),
)


def sink_address(number: int, network: int = 1) -> str:
    """Return the address of a content's child of this number."""
    return f"127.0.{network + number // PER_NETWORK}.{1 + number % PER_NETWORK}"


@contextlib.contextmanager
def running(
    contender: Contender, overlay: Overlay, loop: Loop, contents: int, children: int
) -> Iterator[tuple[int, ...]]:
    """Run a contender with its children; yield its processes once all have joined. Raises ProgramError."""
    if contender.is_node:
        with overlay.node(checkout=contender.checkout, options=contender.options) as node:
            joined = _children(loop, overlay, "n1", contents, children, 1, OUTPUT_PORT)
            try:
                yield (node.pid,)
            finally:
                _leave(joined)
        return
    started, joined = _start(contender, overlay.folder, contents, children), list[Child]()
    try:
        wait_until(
            partial(_are_bound, range(INPUT_PORT, INPUT_PORT + contents)), f"{contender.name}'s input ports"
        )
        joined = _children(loop, overlay, "rp", contents, 1, OWN_NETWORK, INPUT_PORT)
        yield tuple(program.pid for program in started)
    finally:
        _leave(joined)
        stop_all(started)


def _children(
    loop: Loop, overlay: Overlay, node: str, contents: int, count: int, network: int, port: int
) -> list[Child]:
    """Have `count` children of each content join, sixteen at a time; return when all are in."""
    waiting = [
        Child(loop, overlay.addresses[node], content, sink_address(number, network), port + index, Start.LIVE)
        for index, content in enumerate(overlay.contents[:contents])
        for number in range(count)
    ]
    joined = list(waiting)
    going: list[Child] = []

    def all_in() -> bool:
        going[:] = [child for child in going if not (child.has_joined or child.has_failed)]
        while waiting and len(going) < 16:
            going.append(waiting.pop(0))
            going[-1].join()
        return not (waiting or going)

    loop.run(JOIN_SECONDS, all_in)
    failed = [child for child in joined if not child.has_joined]
    if failed:
        _leave(joined)
        raise RuntimeError(f"{len(failed)} of {len(joined)} children have not joined: {failed[0].misses}")
    return joined


def _leave(children: list[Child]) -> None:
    for child in children:
        child.leave()


def _start(contender: Contender, folder: Path, contents: int, children: int) -> list[ProgramProcess]:
    targets = {
        INPUT_PORT + index: [f"{sink_address(number)}:{OUTPUT_PORT + index}" for number in range(children)]
        for index in range(contents)
    }
    routes = folder / "routes"
    routes.write_text("".join(f"{port} {' '.join(each)}\n" for port, each in targets.items()))
    commands = [
        contender.command.format(port=port, targets=contender.comma.join(each), routes=routes)
        for port, each in targets.items()
    ]
    return [
        ProgramProcess(
            contender.name,
            on_core(CORE_UNDER_TEST, shlex.split(command)),
            folder / f"{contender.name}-{number}.log",
        )
        for number, command in enumerate(commands if contender.each else commands[:1])
    ]


def _are_bound(ports: range) -> bool:
    rows = Path("/proc/net/udp").read_text().splitlines()[1:]
    bound = {int(row.split()[1].split(":")[1], 16) for row in rows}
    return bound.issuperset(ports)
