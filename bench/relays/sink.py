"""The sink of all children, run and asked."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from bench.relays.contenders import C_PROGRAMS, OUTPUT_PORT
from bench.relays.machine import OTHER_CORE, on_core


@dataclass(frozen=True, slots=True)
class Counts:
    """What came since the sink was asked last."""

    datagrams: int
    bytes: int
    rtp: int
    span: int  # how far the sequence numbers of all contents went on
    cpu: float  # seconds, since it began

    def loss(self, children: int) -> float:
        """Return the share of the datagrams that did not come to this many children of each content."""
        return 1.0 - min(1.0, self.rtp / (self.span * children)) if self.span else 1.0


class Sink:
    """A running sink."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def take(self) -> Counts:
        """Return what came since the last call."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR1)
        return Counts(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def sink(contents: int, *, trains: bool = False) -> Iterator[Sink]:
    """Receive for all children of so many contents."""
    kind = "trains" if trains else "plain"
    command = on_core(OTHER_CORE, [f"{C_PROGRAMS}/sink", str(contents), str(OUTPUT_PORT), kind])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is ready
        try:
            yield Sink(process)
        finally:
            process.kill()
