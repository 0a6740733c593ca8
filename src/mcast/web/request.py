"""A request's head, from bytes to a frozen value.

`http.server` parses it, out of memory: the service has read it within its bounds of time and size before.
Bodies are not for us: all that is served is read-only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from ipaddress import IPv4Address
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

from mcast.hostport import HostPort, IPAddress

MAX_HEAD = 16_384
"""Bytes of a request's head: four times what a browser with cookies sends."""

NOWHERE = IPv4Address(0)
UNREACHED = HostPort("localhost", 0)


class RequestError(Exception):
    """A request that is answered with an error: its status, and a line that says how to mend it."""

    is_public = False
    """Pages of other origins may read it, where the service is told so (`cors`)."""

    def __init__(self, status: HTTPStatus, text: str, *, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds: when to ask again."""
        super().__init__(text)
        self.status, self.text, self.retry_after = status, text, retry_after


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for."""

    method: str
    parts: tuple[str, ...]
    """The path, cut at each `/` and decoded: a slash inside a name was written `%2F`."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case; one that came twice has its values joined by commas (RFC 9110, 5.3)."""
    keeps_alive: bool = True
    peer: IPAddress = NOWHERE
    reached: HostPort = UNREACHED
    """Our own address, at which the request has come in."""
    key: str = field(default="", repr=False)
    """A key of the service, if it was shown as the password of HTTP Basic."""

    @property
    def is_encrypted(self) -> bool:
        """Return whether viewers speak HTTPS to the proxy in front of us: one on this machine is believed."""
        scheme = self.headers.get("x-forwarded-proto", "") if self.peer.is_loopback else ""
        return scheme.strip().lower() == "https"

    @property
    def base(self) -> str:
        """Return by which URL we are reached, without a slash at its end.

        It holds the key where that was shown as a password: whoever asks so can take it out of a URL, and a
        set-top box or a player in which a list is opened knows nothing but the list's URLs.
        """
        host = self.headers.get("host") or str(self.reached)  # HTTP/1.0 knows no Host
        user = f"any:{quote(self.key, safe='')}@" if self.key else ""
        return f"{'https' if self.is_encrypted else 'http'}://{user}{host}"

    @property
    def path(self) -> str:
        """Return the decoded path, for people."""
        return "/" + "/".join(self.parts)

    @property
    def is_head(self) -> bool:
        """Return whether only the head of the answer is wanted."""
        return self.method == "HEAD"

    def accepts(self, kind: str) -> bool:
        """Return whether the asker names a media type, as a browser that opens a page names text/html."""
        return kind in self.headers.get("accept", "")


def parse(head: bytes, peer: IPAddress = NOWHERE, reached: HostPort = UNREACHED) -> Request:
    """Return the request that a head says, its empty line included. Raises RequestError, and nothing else."""
    parsed = _Parsed(head)
    if parsed.request_version == "HTTP/0.9":
        raise RequestError(HTTPStatus.BAD_REQUEST, "HTTP/0.9 is too old: ask with HTTP/1.1")
    headers: dict[str, str] = {}
    for name, value in parsed.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = str(value) if known is None else f"{known},{value}"
    if "host" not in headers and parsed.request_version != "HTTP/1.0":  # RFC 9112, 3.2
        raise RequestError(HTTPStatus.BAD_REQUEST, "the Host header is missing")
    if headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers:
        raise RequestError(HTTPStatus.BAD_REQUEST, "a request here has no body")
    parts, query = _target(parsed.path)
    return Request(parsed.command, parts, query, headers, not parsed.close_connection, peer, reached)


def _target(target: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take a request's target apart: a path, or a whole URL as proxies send it (RFC 9112, 3.2)."""
    try:
        if not target.startswith("/"):
            target = urlsplit(target)._replace(scheme="", netloc="").geturl() or "/"
        path, _, query = target.partition("?")
        # The parser reads bytes as Latin-1; players send names with umlauts as plain UTF-8, too.
        raw = path.encode("iso-8859-1").lstrip(b"/").split(b"/")
        parts = tuple(unquote_to_bytes(part).decode() for part in raw)
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as error:  # UnicodeDecodeError, too
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the URL cannot be read: {error}") from None
    return parts, dict(pairs)


class _Parsed(BaseHTTPRequestHandler):
    """The standard library's parser, without a socket. Raises RequestError where it would answer."""

    protocol_version = "HTTP/1.1"  # connections are kept, unless the request says otherwise

    def __init__(self, head: bytes) -> None:
        self.rfile = BytesIO(head)
        self.raw_requestline = self.rfile.readline(MAX_HEAD)
        if not self.parse_request():
            raise RequestError(HTTPStatus.BAD_REQUEST, "the request is empty")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Raise what the parser complains of."""
        status = HTTPStatus(code)
        raise RequestError(status, message or explain or status.description)

    def handle_expect_100(self) -> bool:
        """Promise nothing: a body is refused."""
        return True
