"""One viewer's connection: requests come in, one after another, and are answered.

reading a head --bounded in time and size--> answering --bytes--> reading the next
                                                '--a stream--> until it ends, or nobody takes it
"""

import contextlib
import logging
import select
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from mcast import __version__
from mcast.hostport import HostPort, IPAddress
from mcast.net.addresses import local_ip
from mcast.web.request import MAX_HEAD, Request, RequestError, parse
from mcast.web.response import GUARDS, Response, Stream, error_answer
from mcast.wire.frame import MAGIC

logger = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
"""From a request's first byte to its last: who drips holds a place no longer."""
IDLE_SECONDS = 30.0
"""Until a connection is closed on which nothing is asked."""
SEND_SECONDS = 10.0
"""A viewer must take `PIECE` bytes in this time, or is cut: 50 kbit/s, less than any picture has."""
PIECE = 65_536
LEAVE_SECONDS = 0.5
"""How long a viewer whose request was no request gets to read the answer."""
TLS_HANDSHAKE = 0x16
"""The first byte of who asks for https:// (RFC 8446, 5.1)."""

Answer = Callable[[Request], Response]
"""Answer a request. Raises RequestError; anything else is a bug, and is answered with 500."""


class Cut(Exception):  # noqa: N818 -- it is no error of ours
    """The connection is at its end; a text says why if it is worth counting."""


class ViewerConnection:
    """Owns one accepted socket. `run` is called by its thread, `close` by any."""

    def __init__(self, sock: socket.socket, peer: IPAddress, answer: Answer, *, cors: bool = False) -> None:
        self._sock, self.peer, self._answer, self._cors = sock, peer, answer, cors
        self._buffer = b""
        self._closing = False
        host = str(local_ip(sock)).partition("%")[0]  # a scope means nothing to others (RFC 6874, 1)
        self._reached = HostPort(host, sock.getsockname()[1])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __repr__(self) -> str:
        return f"<ViewerConnection {self.peer}>"

    def close(self) -> None:
        """Wake the thread and let it end."""
        self._closing = True
        with contextlib.suppress(OSError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> str:
        """Answer until somebody has enough; return why the service has cut the viewer, if it has."""
        try:
            with self._sock:
                while not self._closing:
                    self._serve_one()
        except Cut as cut:
            return str(cut)
        except OSError:  # reset by the viewer
            pass
        return ""

    def refuse(self, error: RequestError) -> None:
        """Say in one piece that there is no room. Never waits.

        The caller closes the socket a while later (`release`): at once would reset what is on its way.
        """
        answer = error_answer(None, error)
        assert isinstance(answer.body, bytes)
        with contextlib.suppress(OSError):
            self._sock.setblocking(False)
            self._sock.send(self._head(answer, None, ends=True) + answer.body)
            self._sock.shutdown(socket.SHUT_WR)

    def release(self) -> None:
        """Close the socket of a viewer who was refused."""
        self._sock.close()

    def _serve_one(self) -> None:
        request: Request | None = None
        head = b""
        try:
            head = self._read_head()
            request = parse(head, self.peer, self._reached)
            response = self._answer(request)
        except RequestError as error:
            response = error_answer(request, error)
        ends = request is None or not request.keeps_alive
        is_head = (head or self._buffer).startswith(b"HEAD ")  # known, too, of what is no request otherwise
        self._send(request, response, is_head=is_head, ends=ends)
        if request is None:
            self._take_leave()
        if ends:
            raise Cut

    # Reading

    def _read_head(self) -> bytes:
        """Return the bytes of the next request's head. Raises RequestError, Cut, OSError."""
        until = time.monotonic() + IDLE_SECONDS
        begun = bool(self._buffer)
        if begun:
            until = time.monotonic() + HEAD_SECONDS
        while (end := _end_of_head(self._buffer)) is None:
            if len(self._buffer) > MAX_HEAD:
                raise RequestError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"a request's head has at most {MAX_HEAD} bytes",
                )
            data = self._receive(until, begun=begun)
            self._buffer += data
            if complaint := _other_protocol(self._buffer):  # at once: it never comes to the end of a head
                raise RequestError(HTTPStatus.BAD_REQUEST, complaint)
            if not begun and self._buffer.lstrip(b"\r\n"):
                begun, until = True, time.monotonic() + HEAD_SECONDS
        head, self._buffer = self._buffer[:end], self._buffer[end:]
        return head.lstrip(b"\r\n")

    def _receive(self, until: float, *, begun: bool) -> bytes:
        left = until - time.monotonic()
        if left > 0:
            self._sock.settimeout(left)
            with contextlib.suppress(TimeoutError):
                if data := self._sock.recv(4096):
                    return data
                raise Cut  # the viewer has hung up
        if begun:
            raise RequestError(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")
        raise Cut  # idle, as browsers leave connections

    # Answering

    def _send(self, request: Request | None, response: Response, *, is_head: bool, ends: bool) -> None:
        body = response.body
        if isinstance(body, bytes):
            self._send_all(self._head(response, request, ends=ends) + (b"" if is_head else body))
            return
        with contextlib.closing(body):
            self._send_all(self._head(response, request, ends=True))
            if not is_head:
                self._send_stream(body)
        raise Cut  # the end of a stream is where the connection ends

    def _send_stream(self, body: Stream) -> None:
        for piece in body:
            if self._closing or (not piece and self._has_hung_up()):
                return
            self._send_all(piece)

    def _send_all(self, data: bytes) -> None:
        self._sock.settimeout(SEND_SECONDS)
        try:
            for start in range(0, len(data), PIECE):
                self._sock.sendall(data[start : start + PIECE])
        except TimeoutError:
            raise Cut("it did not take what it had asked for") from None

    def _take_leave(self) -> None:
        """Let the viewer read what is wrong: to close beside bytes that nobody has read would reset it."""
        self._sock.shutdown(socket.SHUT_WR)
        self._sock.settimeout(LEAVE_SECONDS)
        with contextlib.suppress(TimeoutError):
            for _ in range(MAX_HEAD // 4096):
                if not self._sock.recv(4096):
                    return

    def _has_hung_up(self) -> bool:
        look = select.poll()  # a look at the next byte would not see the end behind a request that waits
        look.register(self._sock, select.POLLRDHUP)
        return bool(look.poll(0))

    def _head(self, response: Response, request: Request | None, *, ends: bool) -> bytes:
        headers = {
            "Server": f"mcast/{__version__}",
            "Date": formatdate(usegmt=True),
            **GUARDS,
            **response.about_body(),
            "Connection": "close" if ends else "keep-alive",
            "Cross-Origin-Resource-Policy": "cross-origin" if self._shares(response) else "same-origin",
            **({"Access-Control-Allow-Origin": "*"} if self._shares(response) else {}),
            # A proxy is to hand on a stream as it comes: nginx gathers 4 KiB of what a page waits for.
            **({} if isinstance(response.body, bytes) else {"X-Accel-Buffering": "no"}),
            **response.headers,
        }
        lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if request is not None:
            logger.debug("> %s %s: %d", request.method, request.path, response.status.value)
        return "\r\n".join([*lines, "", ""]).encode()

    def _shares(self, response: Response) -> bool:
        return self._cors and response.is_public


def _other_protocol(buffer: bytes) -> str:
    """Return what to tell who speaks another protocol, as the first bytes show; empty for HTTP."""
    first = buffer.lstrip(b"\r\n")[:1]
    if buffer.startswith(MAGIC):
        return "this is an HTTP service: mcast's programs talk at another port"
    if first == bytes([TLS_HANDSHAKE]):
        return "this port speaks no TLS: ask for http://, not https://"
    is_sign = not first or 0x20 < first[0] < 0x7F  # as methods are made of (RFC 9110, 5.6.2)
    return "" if is_sign else "this is no HTTP request"


def _end_of_head(buffer: bytes) -> int | None:
    """Return where the first empty line behind a request line ends, None if it has not come."""
    start = len(buffer) - len(
        buffer.lstrip(b"\r\n")
    )  # empty lines in front are to be skipped (RFC 9112, 2.2)
    ends = [place + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (place := buffer.find(mark, start)) >= 0]
    return min(ends, default=None)
