"""A TCP proxy that delays everything: makes a server look far away."""

import contextlib
import heapq
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self


class DelayingProxy:
    """Forwards connections to `target`, each byte `delay` seconds late in both directions.

    Media does not come by it. It is taken all the same, as it comes from the proxy's address: that is the
    target's, at another port.
    """

    def __init__(self, target: str, delay: float) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._delay = (host, int(port)), delay
        self._listener = socket.create_server((host, 0))
        self.address = f"{host}:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._waiting: list[tuple[float, int, socket.socket, bytes]] = []
        self._peers: dict[socket.socket, socket.socket] = {}
        self._count = 0
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.close()
        self._thread.join()
        self._selector.close()
        for sock in (*self._peers, self._listener, self._woken):
            sock.close()

    def _run(self) -> None:
        while True:
            left = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            for key, _ in self._selector.select(left):
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.data)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, source, data = heapq.heappop(self._waiting)
                self._deliver(source, data)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target, 2)
        except OSError:
            near.close()
            return
        self._peers |= {near: far, far: near}
        for sock in (near, far):
            self._selector.register(sock, selectors.EVENT_READ, sock)

    def _read(self, source: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65_536)
        if not data:
            self._selector.unregister(source)  # its end is delivered late, too
        self._count += 1
        heapq.heappush(self._waiting, (time.monotonic() + self._delay, self._count, source, data))

    def _deliver(self, source: socket.socket, data: bytes) -> None:
        if source not in self._peers:
            return  # closed meanwhile
        with contextlib.suppress(OSError):
            if data:
                self._peers[source].sendall(data)
                return
        for sock in (self._peers.pop(source), source):
            self._peers.pop(sock, None)
            with contextlib.suppress(KeyError):
                self._selector.unregister(sock)
            sock.close()
