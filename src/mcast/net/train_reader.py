"""Trains from connected sockets: recvmsg(2) with a header that is made ready once for all of a thread.

Python's own recvmsg_into makes five objects a call (a list, two tuples, an address, the ancillary bytes), of
which a receiver that knows its parent needs one number. Where the system has no recvmsg for us, that is
what is used.
"""

import ctypes
import os
import socket

from mcast.net.messages import Header, Part, function
from mcast.net.udp import MAX_RECEIVE, receive

RESERVE = 98_304
"""Bytes that are asked for at once, for the trains that are to come. From 128 KiB on, what is freed goes back
to the system."""

_RECVMSG = function("recvmsg")
_MALLOC, _FREE = function("malloc", ctypes.c_void_p, ctypes.c_size_t), function("free", None, ctypes.c_void_p)
_CONTROL_BYTES = socket.CMSG_SPACE(4)  # what UDP_GRO tells, the only message that a receiver asks for
_DONTWAIT = int(socket.MSG_DONTWAIT)
_SEGMENT_AT = socket.CMSG_LEN(0) // 4  # in 32-bit words: where what UDP_GRO tells stands


class TrainReader:
    """One thread's: a buffer that stays in its caches, and the header that names it."""

    def __init__(self) -> None:
        self._buffer = bytearray(MAX_RECEIVE)
        self._view = memoryview(self._buffer)
        place = (ctypes.c_char * MAX_RECEIVE).from_buffer(self._buffer)
        self._part = Part(ctypes.addressof(place), MAX_RECEIVE)
        control = (ctypes.c_char * _CONTROL_BYTES)()
        self._control = memoryview(control).cast("B").cast("i")
        self._header = Header(
            None, 0, ctypes.addressof(self._part), 1, ctypes.addressof(control), _CONTROL_BYTES
        )
        self._at = ctypes.byref(self._header)
        self._held = (place, control)
        self._reserved = 0  # bytes

    def receive(self, sock: socket.socket) -> tuple[bytes, int]:
        """Return what waits at a socket, and the size of the datagrams in it; never wait.

        Nothing is returned of what does not fit. Raises BlockingIOError if nothing waits, and what else
        `receive` raises.
        """
        if _RECVMSG is None:
            return _receive(sock)
        count = _RECVMSG(sock.fileno(), self._at, _DONTWAIT)
        if 0 <= count < MAX_RECEIVE and self._header.control_length == _CONTROL_BYTES:  # a train
            self._reserved -= count
            if self._reserved < 0:
                self._reserve()
            return bytes(self._view[:count]), self._control[_SEGMENT_AT]
        # The kernel has written how much it tells: nothing, if one datagram has come or none.
        self._header.control_length = _CONTROL_BYTES
        if count < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))  # of the class that belongs to the number
        if count == MAX_RECEIVE:  # the buffer is longer than any datagram; so who knows what that is
            return b"", 0
        return bytes(self._view[:count]), count

    def _reserve(self) -> None:
        """Let the C library have room for some trains.

        Trains are kept for seconds, so at first each finds no room. In a thread's heap the library then asks
        the system for exactly what it lacks, with each train anew, which costs more than to receive it.
        """
        self._reserved = RESERVE
        if _MALLOC is not None and _FREE is not None:
            _FREE(_MALLOC(RESERVE))


def _receive(sock: socket.socket) -> tuple[bytes, int]:
    received = receive(sock, wait=False)
    return (b"", 0) if received.cut else (received.data, received.size)
