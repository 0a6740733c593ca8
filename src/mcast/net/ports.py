"""The UDP ports that media may use (`--media-ports LOW-HIGH`): for hosts behind a firewall."""

import errno
import socket
from dataclasses import dataclass

from mcast.errors import ConfigError
from mcast.net.addresses import IPAddress
from mcast.net.udp import open_udp

_OPTION = "--media-ports"


@dataclass(frozen=True, slots=True)
class MediaPorts:
    """Ports `low` to `high`, both included; 0 to 0 leaves the choice to the system."""

    low: int = 0
    high: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "MediaPorts":
        """Read "LOW-HIGH" or "PORT"; None is the system's choice. Raises ConfigError."""
        if text is None:
            return cls()
        low, dash, high = text.strip().partition("-")
        try:
            ports = cls(_number(low), _number(high if dash else low))
        except ValueError:
            raise ConfigError(
                f"{_OPTION}: '{text}' is no port range, write LOW-HIGH, for example 20000-20099"
            ) from None
        if not 1 <= ports.low <= ports.high <= 65_535:
            raise ConfigError(f"{_OPTION}: '{text}': ports are 1 to 65535, the lower one first")
        return ports

    def __str__(self) -> str:
        return f"{self.low}-{self.high}" if self.low else "any"

    def open(self, local_ip: IPAddress) -> socket.socket:
        """Bind a UDP socket to a free port, held by nobody else.

        Raises ConfigError if the range is used up or the address is not this host's.
        """
        for port in range(self.low, self.high + 1):
            try:
                return open_udp(local_ip, port)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise ConfigError(
                        f"cannot open a UDP port on {local_ip}: {error.strerror or error}"
                    ) from error
        if not self.low:
            raise ConfigError(f"no UDP port is free on {local_ip}")
        raise ConfigError(f"{_OPTION} {self}: all are in use on {local_ip}: widen the range")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)
