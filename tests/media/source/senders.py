"""Senders of live inputs, which do what the test says."""

import contextlib
import socket
import threading

from mcast.wire.mpegts import PACKET


class HttpSender:
    """Sends a film to whoever asks: the first packets of it, all of it once it goes on. It never hangs up."""

    def __init__(self, film: bytes, packets: int) -> None:
        self._film, self._part = film, film[: packets * PACKET]
        self._going_on, self.asked = threading.Event(), 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/film.ts"
        self._threads: list[threading.Thread] = [threading.Thread(target=self._accept, name="sender")]
        self._taken: list[socket.socket] = []
        self._threads[0].start()

    def go_on(self) -> None:
        """Send all of it to who asks from now on."""
        self._going_on.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for sock in self._taken:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listening, *self._taken):
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                self.asked += 1
                self._taken.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), name="sending")
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        sent = self._film if self._going_on.is_set() else self._part
        with contextlib.suppress(OSError):
            sock.recv(65_536)
            sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + sent)
