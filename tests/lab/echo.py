"""ICMP echo requests: `echo.py PATIENCE ADDRESS...` prints the milliseconds to each, or `ADDRESS: no answer`.

The status is 1 if one has not answered within PATIENCE seconds. It runs inside a node of a lab, as root; the
kernel at the other end answers, as it answers `ping`.
"""

import socket
import struct
import sys
import time
from ipaddress import ip_address

IDENTIFIER = 0x4D43
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number


def milliseconds(address: str, number: int, patience: float) -> float | None:
    """Return how long the answer of an address took; None if it did not come."""
    version = ip_address(address).version
    with _raw_socket(version) as sock:
        began = time.monotonic()
        sock.sendto(_request(version, number), (address, 0))
        while (left := began + patience - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                data, (sender, *_) = sock.recvfrom(2048)
            except TimeoutError:
                break
            if sender == address and _answers(version, data, number):
                return (time.monotonic() - began) * 1000
    return None


def _raw_socket(version: int) -> socket.socket:
    if version == 4:
        return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)


def _request(version: int, number: int) -> bytes:
    if version == 6:  # the kernel adds the checksum
        return _HEADER.pack(128, 0, 0, IDENTIFIER, number)
    total = (8 << 8) + IDENTIFIER + number
    return _HEADER.pack(8, 0, ~(total % 0xFFFF) & 0xFFFF, IDENTIFIER, number)


def _answers(version: int, data: bytes, number: int) -> bool:
    begin = 4 * (data[0] & 15) if version == 4 else 0  # a raw IPv4 socket shows the IP header, too
    kind, _, _, identifier, sequence = _HEADER.unpack_from(data, begin)
    return (kind, identifier, sequence) == (0 if version == 4 else 129, IDENTIFIER, number)


def main(patience: float, addresses: list[str]) -> int:
    times = {address: milliseconds(address, number, patience) for number, address in enumerate(addresses)}
    for address, time_ in times.items():
        print(f"{address}: no answer" if time_ is None else f"{time_:.1f}")
    return 1 if None in times.values() else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
