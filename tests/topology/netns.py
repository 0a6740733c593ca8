"""Hosts as network namespaces, with links that can be slow: for what loopback cannot show."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_CLONE_NEWNET = 0x4000_0000


class Networks:
    """Namespaces by short names, removed at the end together with whatever is inside."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._links = 0

    def add(self, host: str) -> None:
        """Make a host with nothing but its loopback."""
        name = f"mt{os.getpid()}-{host}"
        _run("ip", "netns", "add", name)
        self._hosts[host] = name
        self.ip(host, "link", "set", "lo", "up")

    def link(self, one: str, one_address: str, other: str, other_address: str) -> tuple[str, str]:
        """Join two hosts by a cable with an address (10.0.0.1/24) at each end; return the device names."""
        self._links += 1
        ends = (f"{one}-{self._links}", f"{other}-{self._links}")
        _run(
            *("ip", "-n", self._hosts[one], "link", "add", ends[0], "type", "veth"),
            *("peer", "name", ends[1], "netns", self._hosts[other]),
        )
        for host, device, address in zip((one, other), ends, (one_address, other_address), strict=True):
            self.ip(host, "address", "add", address, "dev", device)
            self.ip(host, "link", "set", device, "up")
        return ends

    def slow_down(
        self, host: str, device: str, rate: str, *, burst: str = "4kb", queue: str = "100ms"
    ) -> None:
        """Let a device send no faster than `rate` (256kbit), and hold what waits for so long."""
        _run(
            *("tc", "-n", self._hosts[host], "qdisc", "add", "dev", device, "root"),
            *("tbf", "rate", rate, "burst", burst, "latency", queue),
        )

    def drop_udp(self, host: str, device: str) -> None:
        """Let no UDP in by a device, as a firewall does that lets TCP through."""
        # What comes is looked up among the host's own addresses last: with the first rule in front of it.
        self.ip(host, "rule", "add", "pref", "2", "lookup", "local")
        self.ip(host, "rule", "add", "pref", "1", "iif", device, "ipproto", "udp", "blackhole")
        self.ip(host, "rule", "del", "pref", "0")

    def ip(self, host: str, *arguments: str) -> None:
        """Run `ip` in a host."""
        _run("ip", "-n", self._hosts[host], *arguments)

    def inside(self, host: str, *command: str) -> list[str]:
        """Return the command that runs another one in a host. `ip netns exec` is replaced by it: one pid."""
        return ["ip", "netns", "exec", self._hosts[host], *command]

    def within(self, host: str, action: Callable[[], None]) -> None:
        """Call something in a host: what it opens, and the threads it starts, stay there."""
        failures: list[BaseException] = []

        def body() -> None:
            try:
                self._enter(host)
                action()
            except BaseException as error:  # a failed assertion, too
                failures.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        for failure in failures:
            raise failure

    def _enter(self, host: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/run/netns/{self._hosts[host]}", os.O_RDONLY)
        result = libc.setns(descriptor, _CLONE_NEWNET)
        os.close(descriptor)
        assert result == 0, os.strerror(ctypes.get_errno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._hosts.values():
            _run("ip", "netns", "del", name)


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not result.returncode, f"{' '.join(command)}: {result.stderr.strip()}"
