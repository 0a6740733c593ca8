"""How the interpreter and its C library are set up for programs with many threads."""

import contextlib
import ctypes
import gc
import resource
import sys
import threading
from collections.abc import Iterator

SWITCH_INTERVAL = 0.0001
"""Seconds a busy thread may keep the interpreter: at Python's 5 ms one delays a relay by as much."""

STACK_BYTES = 256 * 1024
"""Per thread: with the default of 8 MB a thousand handlers take 9 GB of address space."""

MAX_DESCRIPTORS = 65_536
"""Soft limit asked for: one per viewer and content, and the same for control."""

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


@contextlib.contextmanager
def settings() -> Iterator[None]:
    """Tune the interpreter for many threads, and for the time of the program only."""
    interval, stack = sys.getswitchinterval(), threading.stack_size()
    sys.setswitchinterval(SWITCH_INTERVAL)
    threading.stack_size(STACK_BYTES)
    _raise_descriptor_limit()
    # Loading leaves half a MiB (classes that were replaced when they got slots, the options' parser), which
    # would stay for good with what follows.
    gc.collect()
    # What was loaded stays for good: some 30,000 objects. The collector looks at all that live when their
    # number has grown by a fourth, and for some 10 ms nothing is forwarded meanwhile.
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)
        threading.stack_size(stack)


def share_one_heap() -> None:
    """Have all threads take their memory from one heap; to be called before the first is started.

    glibc gives threads heaps of their own, up to eight a core, and a heap keeps what its busiest thread has
    ever needed: with each content that comes and goes another one grows. They save waiting for a lock, for
    which the threads of an interpreter wait anyway.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library, which has no such habit
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
