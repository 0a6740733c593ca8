"""A request's head becomes a value, or an error that says why not: never anything else."""

import contextlib
from http import HTTPStatus
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.web.request import Request, RequestError, parse


def head(target: str, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {target} {version}", "Host: tv.example", *headers, "", ""]).encode()


def refusal(data: bytes) -> HTTPStatus:
    with pytest.raises(RequestError) as raised:
        parse(data)
    assert str(raised.value)
    return raised.value.status


def test_a_request_of_a_browser_is_read() -> None:
    request = parse(head("/earth/index.m3u8?a=1&b=", "Accept: text/html,*/*"))
    assert (request.method, request.parts, request.query) == (
        "GET",
        ("earth", "index.m3u8"),
        {"a": "1", "b": ""},
    )
    assert request.headers["host"] == "tv.example"
    assert request.accepts("text/html")
    assert request.keeps_alive
    assert not request.is_head


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/", ("",)),
        ("/news%20%22at%22%20nine.ts", ('news "at" nine.ts',)),
        ("/%C3%BCber.ts", ("über.ts",)),
        ("/über.ts", ("über.ts",)),
        ("/a%2Fb/index.m3u8", ("a/b", "index.m3u8")),
        ("//earth.ts", ("earth.ts",)),
        ("http://tv.example:8080/earth.ts", ("earth.ts",)),
        ("/%3Cscript%3E.ts", ("<script>.ts",)),
    ],
)
def test_names_are_decoded_and_a_slash_inside_one_stays_there(target: str, parts: tuple[str, ...]) -> None:
    assert parse(head(target)).parts == parts


def test_a_connection_is_kept_unless_the_request_says_otherwise() -> None:
    assert parse(head("/")).keeps_alive
    assert not parse(head("/", "Connection: close")).keeps_alive
    assert not parse(head("/", version="HTTP/1.0")).keeps_alive
    assert parse(head("/", "Connection: keep-alive", version="HTTP/1.0")).keeps_alive


def test_only_the_old_protocol_knows_no_host() -> None:
    """RFC 9112, 3.2."""
    assert refusal(b"GET / HTTP/1.1\r\n\r\n") == HTTPStatus.BAD_REQUEST
    assert refusal(b"HEAD / HTTP/1.2\r\nAccept: */*\r\n\r\n") == HTTPStatus.BAD_REQUEST
    assert "host" not in parse(b"GET / HTTP/1.0\r\n\r\n").headers


def test_a_header_that_comes_twice_is_joined() -> None:
    assert parse(head("/", "Cookie: a=1", "cookie: b=2")).headers["cookie"] == "a=1,b=2"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (head("/%FF"), 400),
        (head("http://[/"), 400),
        (head("/", "Content-Length: 7"), 400),
        (head("/", "Transfer-Encoding: chunked"), 400),
        (head("/", *(f"X-{n}: 1" for n in range(200))), 431),
        (head("/?" + "&".join(f"a{n}=1" for n in range(100))), 400),
    ],
)
def test_what_is_no_request_is_refused_with_its_status(data: bytes, status: int) -> None:
    assert refusal(data) == status


@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: head(f"/{text}")))
def test_any_bytes_give_a_request_or_an_error_with_a_status(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert isinstance(parse(data), Request)


@pytest.mark.parametrize(
    ("peer", "told", "scheme"),
    [
        ("127.0.0.1", "https", "https"),
        ("::1", "HTTPS", "https"),
        ("127.0.0.1", "gopher", "http"),
        ("127.0.0.1", "", "http"),
        ("192.0.2.7", "https", "http"),
    ],
)
def test_only_a_proxy_of_this_machine_is_believed_that_its_viewers_speak_https(
    peer: str, told: str, scheme: str
) -> None:
    request = parse(head("/", f"X-Forwarded-Proto: {told}"), ip_address(peer))
    assert request.base == f"{scheme}://tv.example"
