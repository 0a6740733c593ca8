"""Who may ask: by which name he reaches us, and by which key.

*The Host header* must be an address, `localhost`, or a name that we are known by. Else any page in the user's
browser could have its own name resolve to 127.0.0.1 and then read what is served here (DNS rebinding).

*Keys* are wanted wherever others than this machine can connect, unless `--http-open` says otherwise. One is
shown as `Authorization: Bearer KEY`, or as the password of HTTP Basic, which browsers, VLC and set-top boxes
know how to ask for (`http://any:KEY@host/`); a playlist that was asked for so has it in its URLs. Whoever has
shown one gets a cookie, since a browser does not send the password for all that a page loads; the cookie is
made from the key and does not tell it.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from mcast.config.key_file import NO_KEYS, KeyRing, ring_of
from mcast.errors import ConfigError
from mcast.hostport import HostPort, literal_ip, parse_address
from mcast.web.request import Request, RequestError

LEAST_KEY = 16
"""Characters of a key: nobody guesses one over the network."""
COOKIE_SECONDS = 30 * 24 * 3600
"""How long a browser need not ask for the key again."""
REALM = 'Basic realm="mcast", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one service."""

    keys: KeyRing = NO_KEYS  # none: whoever comes may ask
    names: frozenset[str] = frozenset({"localhost"})  # in lower case; addresses are names, too
    cookie: str = "mcast"  # its name

    @classmethod
    def at(
        cls,
        address: HostPort,
        *,
        key_file: Path | None = None,
        is_open: bool = False,
        names: Iterable[str] = (),
    ) -> "Access":
        """Return the rules for a service at an address. Raises ConfigError if nobody would be kept out.

        `names` are those under which viewers reach it, beside this machine's own.
        """
        if key_file is not None and is_open:
            raise ConfigError("--http-key-file and --http-open exclude each other: give one")
        if key_file is None and not is_open and not is_loopback(address.host):
            raise ConfigError(
                f"--http {address}: other machines can connect there: "
                "name a key with --http-key-file FILE, or let in whoever comes with --http-open"
            )
        own = socket.gethostname()
        known = {
            name.lower().rstrip(".") for name in ("localhost", own, f"{own}.local", address.host, *names)
        }
        keys = NO_KEYS if key_file is None else ring_of("--http-key-file", key_file, read_key)
        # Cookies do not tell ports apart, so that two services of one machine would take each other's.
        return cls(keys, frozenset(known - {""}), f"mcast-{address.port}")

    def check(self, request: Request) -> str | None:
        """Return a cookie to be set, None if none is. Raises RequestError for who may not ask."""
        self._check_host(request)
        if not self.keys:
            return None
        if self._has_cookie(request):
            return None
        key = self._known(_shown(request)[1])
        if not key:
            raise RequestError(
                HTTPStatus.UNAUTHORIZED, "a key is needed: the password, by whatever name, or a bearer token"
            )
        # Lax: a link in a mail or a wiki leads here without asking for the key anew. What is served here is
        # read-only, and pages of other sites still cannot have it loaded with the cookie.
        rules = f"Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Lax"
        return f"{self.cookie}={_token(key)}; {rules}{'; Secure' if request.is_encrypted else ''}"

    def password(self, request: Request) -> str:
        """Return the key that a request shows as the password of HTTP Basic, nothing if it shows none."""
        scheme, shown = _shown(request)
        return self._known(shown).decode() if scheme == "basic" else ""

    def _known(self, shown: bytes) -> bytes:
        # Every key is compared, in a time that does not depend on where it differs.
        known = [key for key in self.keys.keys if hmac.compare_digest(_digest(key), _digest(shown))]
        return known[0] if known else b""

    def _check_host(self, request: Request) -> None:
        host = request.headers.get("host")
        if host is None:  # HTTP/1.0, or `parse` had refused it: no browser, and so nobody's page
            return
        try:
            name = parse_address(host, default_port=0).host.lower().rstrip(".")
        except ConfigError:
            raise RequestError(HTTPStatus.BAD_REQUEST, "the Host header names no host") from None
        if name not in self.names and literal_ip(name) is None and not name.endswith(".localhost"):
            raise RequestError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this service is not known as '{name}': use its address, or name it with --http-name",
            )

    def _has_cookie(self, request: Request) -> bool:
        try:
            sent = SimpleCookie(request.headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        shown = b"" if sent is None else sent.value.encode()
        return any([hmac.compare_digest(_token(key).encode(), shown) for key in self.keys.keys])  # noqa: C419 -- all


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to a host."""
    ip = literal_ip(host)
    return ip.is_loopback if ip is not None else host.lower() == "localhost"


def _shown(request: Request) -> tuple[str, bytes]:
    """Return by which scheme, in lower case, a request shows which key."""
    scheme, _, shown = request.headers.get("authorization", "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return "bearer", shown.strip().encode()
        case "basic":
            with contextlib.suppress(binascii.Error, ValueError):
                return "basic", base64.b64decode(shown.strip(), validate=True).partition(b":")[2]
    return "", b""


def read_key(where: str, text: bytes) -> bytes:
    """Return the key that a line of a key file says. Raises ConfigError, which tells `where` it stands."""
    if len(text) < LEAST_KEY:
        raise ConfigError(
            f"{where}: a key of {len(text)} characters, at least {LEAST_KEY} are needed: openssl rand -hex 16"
        )
    if not all(0x21 <= byte < 0x7F for byte in text):
        raise ConfigError(f"{where}: a key is ASCII without spaces, as it is part of URLs and headers")
    return text


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()  # of one length: how long the key is stays unknown


def _token(key: bytes) -> str:
    return hmac.new(key, b"mcast http cookie", hashlib.sha256).hexdigest()
