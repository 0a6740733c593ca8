"""What is answered: a status, headers, and a body that is there or still to come."""

import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from mcast.web.request import Request, RequestError

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JSON = "application/json"
EVENTS = "text/event-stream"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of all answers: a page runs its own script, and talks to its own service."""

GUARDS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Stream(Protocol):
    """A body that comes piece by piece and may never end.

    `next` waits for half a second at most and then gives b"": so the service sees that a viewer has gone, and
    can stop. `close` is called exactly once, also if nothing was asked for.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. A body of bytes has a length and leaves the connection open; a stream ends it."""

    body: bytes | Stream = b""
    kind: str = TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)
    is_public: bool = False
    """Pages of other origins may have it, where the service is told so (`cors`)."""
    has_ranges: bool = False
    """A part of it may be asked for (Range)."""

    def __post_init__(self) -> None:
        """Raises ValueError for a header that would be two."""
        if any(mark in value for value in self.headers.values() for mark in "\r\n"):
            raise ValueError(f"a header with a line break: {self.headers!r}")

    def about_body(self) -> dict[str, str]:
        """Return the headers that describe the body; none where there cannot be one (RFC 9110, 8.6)."""
        if self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            return {}
        length = {"Content-Length": str(len(self.body))} if isinstance(self.body, bytes) else {}
        return {"Content-Type": self.kind, **length}

    def having(self, **headers: str) -> "Response":
        """Return this answer with more headers: `Cache_Control="no-store"`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})

    def for_one_viewer(self) -> "Response":
        """Return this answer such that no cache on the way may give it to others (RFC 9111, 5.2.2.7)."""
        rules = self.headers.get("Cache-Control", "")
        return self.having(Cache_Control=f"private, {rules}" if rules else "private")


def json_answer(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a value as JSON that is true for this moment alone."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, JSON, status, {"Cache-Control": "no-store"})


def redirect(location: str) -> Response:
    """Lead to another URL of this service, which is to be encoded already."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})


def error_answer(request: Request | None, error: RequestError) -> Response:
    """Say what is wrong: a page for who reads pages, else one line."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    is_public = error.is_public
    if request is not None and request.accepts("text/html"):
        return Response(_page(error).encode(), HTML, error.status, headers, is_public=is_public)
    return Response(f"{error.text}\n".encode(), TEXT, error.status, headers, is_public=is_public)


def _page(error: RequestError) -> str:
    title = html.escape(f"{error.status.value} {error.status.phrase}")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/base.css">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><h1>{title}</h1><p>{html.escape(error.text)}</p>"
        '<p><a href="/">mcast</a></p>\n'
    )


def ranged(request: Request, response: Response) -> Response:
    """Return the part of a body that is asked for (RFC 9110, 14), or the error for one beyond its end.

    Several parts at once, and what is no range of bytes, are answered with the whole, as the RFC allows. So
    is who has the beginning of something else (If-Range).
    """
    body, asked = response.body, _range_of(request, response)
    unit, _, span = asked.partition("=")
    first, dash, last = (part.strip() for part in span.partition("-"))
    numbers = [part for part in (first, last) if part]
    if not isinstance(body, bytes) or response.status is not HTTPStatus.OK or not response.has_ranges:
        return response
    whole = response.having(Accept_Ranges="bytes")
    if unit.strip().lower() != "bytes" or not dash or not numbers or not all(map(_is_number, numbers)):
        return whole
    begin = int(first) if first else max(0, len(body) - int(last))
    end = min(int(last) + 1, len(body)) if first and last else len(body)
    if first and last and int(last) < begin:
        return whole  # nonsense is to be ignored
    if begin >= end:
        error = RequestError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"there are only {len(body)} bytes")
        error.is_public = response.is_public
        return error_answer(request, error).having(Content_Range=f"bytes */{len(body)}")
    part = replace(whole, body=body[begin:end], status=HTTPStatus.PARTIAL_CONTENT)
    return part.having(Content_Range=f"bytes {begin}-{end - 1}/{len(body)}")


def _range_of(request: Request, response: Response) -> str:
    """Return which range is asked for: none by HEAD (RFC 9110, 14.2), nor of another version (13.1.5)."""
    version = request.headers.get("if-range")
    if request.is_head or (version is not None and version != response.headers.get("ETag")):
        return ""
    return request.headers.get("range", "")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
