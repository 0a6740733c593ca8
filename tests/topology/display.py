"""A virtual X display, and what is to be seen on it."""

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def running_display(directory: Path) -> Iterator[str]:
    """Start Xvfb with a number that it chooses itself, return the value for DISPLAY.

    What it shows is in a file of the directory, see `screenshot`.
    """
    read, write = os.pipe()
    os.set_inheritable(write, True)
    log = (directory / "xvfb.log").open("wb")
    command = [
        *("Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"),
        *("-fbdir", str(directory)),
    ]
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write])
    finally:
        os.close(write)
        log.close()
    try:
        with os.fdopen(read) as told:
            number = told.readline().strip()  # empty if Xvfb has ended
        assert number, (directory / "xvfb.log").read_text()
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(5)


def screenshot(directory: Path) -> bytes:
    """Return the whole screen: the file that Xvfb draws into, an X window dump."""
    return (directory / "Xvfb_screen0").read_bytes()


def close_windows(display: str) -> None:
    """Ask every program on the display to close its window, as a window manager does (ICCCM 4.2.8.1)."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(f"/tmp/.X11-unix/X{display.removeprefix(':')}")
        sock.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        success, length = struct.unpack("<BxxxxxH", _exactly(sock, 8))
        assert success == 1, "the X server refuses"
        setup = _exactly(sock, 4 * length)
        vendor, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
        (root,) = struct.unpack_from("<I", setup, 32 + (vendor + 3) // 4 * 4 + 8 * formats)
        protocols, delete = _atom(sock, b"WM_PROTOCOLS"), _atom(sock, b"WM_DELETE_WINDOW")
        sock.sendall(struct.pack("<BxHI", 15, 2, root))  # QueryTree
        reply = _exactly(sock, 32)
        windows = _exactly(sock, 4 * struct.unpack_from("<I", reply, 4)[0])
        for (window,) in struct.iter_unpack("<I", windows):
            event = struct.pack("<BBHIIII12x", 33, 32, 0, window, protocols, delete, 0)
            sock.sendall(struct.pack("<BBHII", 25, 0, 11, window, 0) + event)  # SendEvent
        _atom(sock, b"WM_PROTOCOLS")  # its answer: all that was sent before is done


def _atom(sock: socket.socket, name: bytes) -> int:
    padded = name + bytes(-len(name) % 4)
    sock.sendall(struct.pack("<BBHHxx", 16, 0, 2 + len(padded) // 4, len(name)) + padded)  # InternAtom
    while (reply := _exactly(sock, 32))[0] != 1:
        pass  # an event, or the error of a window that takes none
    return int(struct.unpack_from("<I", reply, 8)[0])


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, "the X server has closed the connection"
        data += more
    return data
