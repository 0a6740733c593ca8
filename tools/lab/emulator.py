"""The process that carries packets between the TAP devices of all shaped links of a lab.

    python -m tools.lab.emulator FD NAMESPACE

It enters the fabric, obeys JSON messages on FD (one end of a SOCK_SEQPACKET pair: `add` a link, `shape` one)
and answers each with `{}` or `{"error": ...}`. When the other end closes, however the lab died, it ends.

Time. A packet's clock starts when it is read. epoll alone would wait in whole milliseconds, rounded up; its
descriptor is therefore handed to select(), which waits in microseconds. A pass reads at most BATCH packets
of a link before it looks at what is due, so that a flooded link delays the others by less than a
millisecond. The garbage collector is off (no cycles arise here), and the process asks for a better priority.
"""

import contextlib
import ctypes
import dataclasses
import fcntl
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

from tools.lab.enter import set_namespace
from tools.lab.impairment import NS_PER_S, Direction, Schedule
from tools.lab.options import LinkOptions

TUN_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME_BYTES = 2048  # an Ethernet frame of MTU 1500, with room for tags
BATCH = 64  # packets; at 10 us each: 0.6 ms
MESSAGE_BYTES = 65536
PRIORITY = -10  # nice; above programs, below what keeps the machine alive
ABOVE = 5  # and above them, too, where they have been given a priority of their own
PR_SET_TIMERSLACK = 29


def open_tap(name: str) -> int:
    """Create a TAP device in the namespace of the calling thread. Raises OSError."""
    fd = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd


class Emulator:
    """Owns the TAP devices, the packets inside the links, and the loop that moves them."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._schedule = Schedule()
        self._inlets: dict[int, Direction] = {}  # by the descriptor that its packets are read from
        self._links: dict[str, tuple[Direction, Direction]] = {}
        self._epoll = select.epoll()
        self._epoll.register(control, select.EPOLLIN)

    def run(self) -> None:
        """Carry packets until the control connection closes."""
        while True:
            self._wait()
            for fd, _ in self._epoll.poll(0):
                if (direction := self._inlets.get(fd)) is not None:
                    self._read(fd, direction)
                elif not self._obey():
                    return
                self._deliver()

    def _wait(self) -> None:
        """Wait for a packet or a message, and meanwhile deliver what falls due."""
        readable = False
        while not readable:
            due = self._schedule.next_due()
            timeout = None if due is None else max(0, due - time.monotonic_ns()) / NS_PER_S
            readable = bool(select.select([self._epoll], [], [], timeout)[0])
            self._deliver()

    def _read(self, fd: int, direction: Direction) -> None:
        enter, now, read = self._schedule.enter, time.monotonic_ns, os.read
        with contextlib.suppress(BlockingIOError):
            for _ in range(BATCH):
                enter(direction, read(fd, FRAME_BYTES), now())

    def _deliver(self) -> None:
        for direction, packet in self._schedule.leave(time.monotonic_ns()):
            # The far side may be down or full at the moment: then the packet is lost, as on a wire.
            with contextlib.suppress(OSError):
                os.write(direction.outlet, packet)

    def _obey(self) -> bool:
        message = self._control.recv(MESSAGE_BYTES)
        if not message:
            return False
        commands: dict[str, Callable[..., None]] = {"add": self._add, "shape": self._shape}
        request: dict[str, Any] = json.loads(message)
        answer = {}
        try:
            commands[request.pop("command")](**request)
        except OSError as error:
            answer["error"] = f"{TUN_DEVICE}: {error.strerror}"
        self._control.send(json.dumps(answer).encode())
        return True

    def _add(self, link: str, taps: list[str], seeds: list[str]) -> None:
        near, far = (open_tap(tap) for tap in taps)
        forward = Direction(LinkOptions(), Random(seeds[0]), outlet=far)
        backward = Direction(LinkOptions(), Random(seeds[1]), outlet=near)
        self._links[link] = forward, backward
        for fd, direction in ((near, forward), (far, backward)):
            self._inlets[fd] = direction
            self._epoll.register(fd, select.EPOLLIN)

    def _shape(self, link: str, options: list[dict[str, Any]]) -> None:
        for direction, values in zip(self._links[link], options, strict=True):
            direction.shape(LinkOptions(**values))


def shape_message(link: str, options: tuple[LinkOptions, LinkOptions]) -> dict[str, Any]:
    return {"command": "shape", "link": link, "options": [dataclasses.asdict(option) for option in options]}


def add_message(link: str, taps: tuple[str, str], seeds: tuple[str, str]) -> dict[str, Any]:
    return {"command": "add", "link": link, "taps": taps, "seeds": seeds}


def _be_punctual() -> None:
    gc.disable()
    with contextlib.suppress(OSError):  # not permitted: it works, less exactly on a busy machine
        os.setpriority(os.PRIO_PROCESS, 0, min(PRIORITY, os.nice(0) - ABOVE))
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)  # ns; the default wakes 50 us late


def main() -> None:
    fd, namespace = int(sys.argv[1]), sys.argv[2]
    set_namespace(namespace)
    _be_punctual()
    with socket.socket(fileno=fd) as control, contextlib.suppress(KeyboardInterrupt):
        Emulator(control).run()


if __name__ == "__main__":
    main()
