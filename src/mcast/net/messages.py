"""The structures of recvmsg(2) and sendmmsg(2), and calls that keep the interpreter's lock.

A call that does not wait is short: to give the lock away and take it back costs more than that (ctypes.PyDLL
keeps it, ctypes.CDLL and Python's own socket methods do not).
"""

import ctypes
from collections.abc import Callable

_LIBRARY = ctypes.PyDLL(None, use_errno=True)


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", Header), ("sent", ctypes.c_uint))


def function(name: str, result: type | None = ctypes.c_int, *arguments: type) -> Callable[..., int] | None:
    """Return a function of the C library, None where the system has none of this name.

    It returns an int and takes what it is given, if nothing else is said.
    """
    found = getattr(_LIBRARY, name, None)
    if found is not None:
        found.restype = result
        if arguments:
            found.argtypes = arguments
    return found
