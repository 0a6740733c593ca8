"""Writes all packets of the node it runs in to a pcap file: `capture.py FILE`, until SIGINT or SIGTERM.

As `tcpdump -i any` it sees every interface, both ways, and each packet behind the kernel's own link header
("Linux cooked capture" v2, link type 276: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html). A file
of its own that imports nothing of mcast, as it is started by `python -I -S`.
"""

import signal
import socket
import struct
import sys
import time
from typing import BinaryIO

ETH_P_ALL = 3
LINKTYPE_LINUX_SLL2 = 276
SNAP_LENGTH = 262_144
BUFFER = 16 << 20
SO_RCVBUFFORCE = 33  # not in Python 3.11
_FILE_HEADER = struct.Struct("=IHHiIII")
_RECORD_HEADER = struct.Struct("=IIII")
_COOKED = struct.Struct("!HHIHBB8s")
NANOSECONDS = 0xA1B23C4D  # the magic number of files whose times have nanoseconds


def capture(sock: socket.socket, file: BinaryIO) -> None:
    """Write the file's head and then each packet as it comes."""
    file.write(_FILE_HEADER.pack(NANOSECONDS, 2, 4, 0, 0, SNAP_LENGTH, LINKTYPE_LINUX_SLL2))
    while True:
        data, address = sock.recvfrom(SNAP_LENGTH)
        file.write(record(data, address, time.time_ns()))


def record(data: bytes, address: tuple[str, int, int, int, bytes], now_ns: int) -> bytes:
    """Return one packet as the file holds it."""
    device, protocol, direction, hardware, sender = address
    try:
        index = socket.if_nametoindex(device)
    except OSError:  # it has gone since
        index = 0
    cooked = _COOKED.pack(protocol, 0, index, hardware, direction, len(sender), sender[:8])
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    length = len(cooked) + len(data)
    return _RECORD_HEADER.pack(seconds, nanoseconds, length, length) + cooked + data


def main(path: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    # SOCK_DGRAM: without the link's header, which is another for each kind of interface.
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock,
        open(path, "wb", buffering=0) as file,  # noqa: PTH123 -- starts sooner
    ):
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        print(f"capturing to {path}", flush=True)
        capture(sock, file)


if __name__ == "__main__":
    main(sys.argv[1])
