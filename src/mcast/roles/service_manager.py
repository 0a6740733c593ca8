"""What the service manager (systemd) is told of a program: sd_notify(3), datagrams of plain text.

    READY=1        it serves                       STOPPING=1     it is about to end
    STATUS=...     what it does, or waits for      RELOADING=1    it reads its files again (SIGHUP)
    WATCHDOG=1     it lives

NOTIFY_SOCKET says where the manager listens: a path, or behind an @ a name in Linux's abstract space.
WATCHDOG_USEC says how soon a program that is not heard of any more is killed. Where neither is set, nobody is
told anything.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from typing import Self

logger = logging.getLogger(__name__)

ADDRESS, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SEND_SECONDS = 0.5
"""How long a word that must not be lost may wait for room in the manager's socket; no other one waits."""
MAX_USEC_DIGITS = 20  # 64 bits: what systemd counts in
BEATS = 3
"""Signs of life in the time after which the manager takes a program for dead: one or two may come late."""


class ServiceManager:
    """Tells the service manager how this program is; any thread may call."""

    def __init__(self, address: str = "", *, patience: float | None = None) -> None:
        """Speak to `address`, to nobody if it is empty.

        `patience` is how many seconds the manager waits for a sign of life; None: it waits for none.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.beat = None if patience is None else patience / BEATS
        """Seconds from one sign of life to the next; None: none is wanted."""
        self._lock = threading.Lock()  # guards the next three; never held while sending
        self._status = ""
        self._is_ready = self._is_stopping = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Return the manager that the environment names, and take its names out.

        Child processes (ffmpeg, a player) must not find them: they would speak in this program's place.
        """
        address, usec = environment.pop(ADDRESS, ""), environment.pop(WATCHDOG, "")
        watched = environment.pop(WATCHDOG_PID, str(os.getpid())) == str(os.getpid())
        is_number = usec.isdecimal() and len(usec) <= MAX_USEC_DIGITS and int(usec) > 0
        patience = int(usec) / 1e6 if is_number and watched else None
        if address and address[0] not in "/@":
            logger.warning(
                "%s=%s is no path and no abstract name: no manager is told anything", ADDRESS, address
            )
            address = ""
        return cls(address, patience=patience)

    @property
    def listens(self) -> bool:
        """Whether there is a manager that is told anything."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """Tell that the program serves from now on; later calls only change the status."""
        with self._lock:
            is_first, self._is_ready = not self._is_ready, True
            self._status = status or self._status
            words = ["READY=1", *([f"STATUS={self._status}"] if self._status else [])]
        if is_first:
            self._tell(*words, must=True)
        else:
            self._tell(*words[1:])

    def status(self, text: str) -> None:
        """Tell, in a line, what the program does or waits for, if that has changed."""
        with self._lock:
            is_news, self._status = text != self._status and not self._is_stopping, text
        if is_news:
            self._tell(f"STATUS={text}")

    def stopping(self) -> None:
        """Tell that the program is about to end. Harmless when repeated."""
        with self._lock:
            is_first, self._is_stopping = not self._is_stopping, True
        if is_first:
            self._tell("STOPPING=1", "STATUS=stopping", must=True)

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that files are read again, and at the end that this is done."""
        with self._lock:
            is_told = self._is_ready and not self._is_stopping
        if is_told:
            # The manager compares the time with that of its own request (systemd 253 and later).
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", must=True)
        try:
            yield
        finally:
            if is_told:
                self._tell("READY=1", must=True)

    def alive(self) -> None:
        """Tell that the program lives; to be called each `beat` seconds, by whom that proves it."""
        self._tell("WATCHDOG=1")

    def __repr__(self) -> str:
        return f"<ServiceManager {self._address.replace(chr(0), '@') or 'none'}>"

    def _tell(self, *words: str, must: bool = False) -> None:
        if not self._address or not words:
            return
        text = "\n".join(word.replace("\n", " ") for word in words)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_SECONDS if must else 0)
                sock.sendto(text.encode(errors="replace"), self._address)
        except OSError as error:
            # No reason to end anything: the manager acts on what it misses.
            level = logging.WARNING if must else logging.DEBUG
            logger.log(level, "the service manager was not told %s: %s", words[0], error)
