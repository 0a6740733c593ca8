"""Bytes and packets per link and direction, as the interfaces count them.

`sent` is what entered the link, `delivered` what came out at the other end; on a shaped link the difference
was lost, dropped at the queue, or is still inside. Where segmentation offload is at work a whole train of
datagrams counts as *one* packet, and its headers once: compare bytes, not packets, on plain links.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tools.lab.namespaces import inside
from tools.lab.plumbing import fabric_ends
from tools.lab.topology import LabLink

# The columns of /proc/net/dev: bytes and packets received, and (after six more) the same transmitted.
_RECEIVED, _TRANSMITTED = 0, 8
_CHUNK = 65536


class Flow(NamedTuple):
    """One direction of one link."""

    link: str
    sender: str
    receiver: str


@dataclass(frozen=True, slots=True)
class Traffic:
    sent_bytes: int = 0
    sent_packets: int = 0
    delivered_bytes: int = 0
    delivered_packets: int = 0

    def since(self, before: "Traffic") -> "Traffic":
        return Traffic(
            self.sent_bytes - before.sent_bytes,
            self.sent_packets - before.sent_packets,
            self.delivered_bytes - before.delivered_bytes,
            self.delivered_packets - before.delivered_packets,
        )


class LinkCounters:
    """Reads all counters of a lab with one file, opened once inside the fabric."""

    def __init__(self, fabric: Path) -> None:
        # An open file of /proc keeps the namespace of the thread that opened it.
        self._fd = inside(fabric, lambda: os.open("/proc/thread-self/net/dev", os.O_RDONLY | os.O_CLOEXEC))

    def read(self, links: Iterable[LabLink]) -> dict[Flow, Traffic]:
        chunks, offset = [], 0
        while chunk := os.pread(self._fd, _CHUNK, offset):
            chunks.append(chunk)
            offset += len(chunk)
        devices = parse_devices(b"".join(chunks).decode())
        return {flow: traffic for link in links for flow, traffic in _flows(link, devices)}

    def close(self) -> None:
        os.close(self._fd)


def parse_devices(text: str) -> dict[str, tuple[int, ...]]:
    """Read /proc/net/dev: two lines of headings, then `name: numbers`."""
    devices = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        devices[name.strip()] = tuple(int(number) for number in numbers.split())
    return devices


def _flows(link: LabLink, devices: Mapping[str, tuple[int, ...]]) -> Iterable[tuple[Flow, Traffic]]:
    first, second = (devices[end] for end in fabric_ends(link))
    yield Flow(link.name, link.first.node, link.second.node), _traffic(first, second)
    yield Flow(link.name, link.second.node, link.first.node), _traffic(second, first)


def _traffic(near: tuple[int, ...], far: tuple[int, ...]) -> Traffic:
    """What the near end has received from its node was sent; what the far end transmitted was delivered."""
    return Traffic(*near[_RECEIVED : _RECEIVED + 2], *far[_TRANSMITTED : _TRANSMITTED + 2])
