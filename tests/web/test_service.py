"""The service as viewers meet it: over sockets, by the standard library's own client."""

import contextlib
import http.client
import http.cookiejar
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import Recorder, wait_until
from mcast.config.key_file import KeyRing
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.net.addresses import peer_ip
from mcast.web import connection as timing
from mcast.web.access import Access
from mcast.web.request import Request, RequestError
from mcast.web.response import Response
from mcast.web.service import Service, Settings
from mcast.web.static import StaticFiles
from mcast.wire.frame import encode
from mcast.wire.server import Wake

LOCAL = HostPort("127.0.0.1", 0)
KEY = "a-key-of-the-campus"
MUCH = 32 * 1024 * 1024  # bytes: more than all buffers between two sockets hold


class Endless:
    """A stream that never ends, and knows what has become of it."""

    def __init__(self, piece: bytes = b"") -> None:
        self.piece, self.asked, self.closed = piece, threading.Event(), threading.Event()
        self.times = 0

    def __iter__(self) -> Iterator[bytes]:
        while not self.closed.wait(0.01):
            self.asked.set()
            self.times += 1
            yield self.piece

    def close(self) -> None:
        self.closed.set()


class Program:
    """Answers as the tests want."""

    def __init__(self) -> None:
        self.streams: list[Endless] = []
        self.files = StaticFiles("mcast.web")

    def answer(self, request: Request) -> Response:
        match request.parts:
            case ("stream",) | ("flood",):
                self.streams.append(Endless(b"x" * 65_536 if request.parts == ("flood",) else b""))
                return Response(self.streams[-1], "video/mp2t")
            case ("segment",) | ("deep", "in", "segment"):
                return Response(bytes(1000), "video/mp2t", is_public=True, has_ranges=True)
            case ("much",):
                return Response(bytes(MUCH))
            case ("kept",):
                return Response(headers={"Cache-Control": "max-age=60"})
            case ("bug",):
                raise ZeroDivisionError
            case ("absent",):
                raise RequestError(HTTPStatus.NOT_FOUND, "there is no such thing")
            case _:
                return self.files.answer(request)


@pytest.fixture
def program() -> Program:
    return Program()


Serve = Callable[..., Service]


@pytest.fixture
def serve(program: Program, crash: Recorder) -> Iterator[Serve]:
    """Return what starts a service; all of them are stopped at the end."""
    with contextlib.ExitStack() as running:

        def start(access: Access | None = None, *, cors: bool = False, most: int = 1024) -> Service:
            rules = access or Access()
            settings = Settings(LOCAL, rules, cors=cors, most=most)
            return running.enter_context(Service(settings, program.answer, crash))

        yield start


@contextlib.contextmanager
def client_of(service: Service, host: str = "127.0.0.1") -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection(*service.address, timeout=20, source_address=(host, 0))
    with contextlib.closing(client):
        yield client


def get(
    service: Service, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with client_of(service) as client:
        client.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        answer = client.getresponse()
        return answer.status, answer.read(), answer.headers


def status_over(client: http.client.HTTPConnection) -> int:
    client.request("GET", "/base.css")
    answer = client.getresponse()
    answer.read()
    return answer.status


def raw(service: Service, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the service hangs up."""
    with socket.create_connection(service.address, timeout=20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65_536):
                answer += piece
    return answer


def test_a_file_is_served_with_its_kind_its_length_and_the_guards_of_a_page(serve: Serve) -> None:
    status, body, headers = get(serve(), "/base.css")
    assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert int(headers["Content-Length"]) == len(body) > 0
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_connection_is_kept_for_the_next_request_and_errors_do_not_end_it(serve: Serve) -> None:
    service = serve()
    with client_of(service) as client:
        for path, expected in [("/base.css", 200), ("/absent", 404), ("/nothing", 404), ("/base.css", 200)]:
            client.request("GET", path)
            answer = client.getresponse()
            assert (answer.status, bool(answer.read())) == (expected, True)
        assert service.connections == 1


def test_head_gives_the_head_alone_of_files_and_of_streams(serve: Serve, program: Program) -> None:
    service = serve()
    status, body, headers = get(service, "/segment", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "1000")
    assert get(service, "/stream", "HEAD")[:2] == (200, b"")
    assert program.streams[0].closed.wait(10)
    assert not program.streams[0].asked.is_set()


def test_a_file_that_the_browser_has_already_is_not_sent_again(serve: Serve) -> None:
    service = serve()
    tag = get(service, "/base.css")[2]["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, body, headers = get(service, "/base.css", If_None_Match=known)
        assert (status, body, headers["ETag"], headers["Cache-Control"]) == (304, b"", tag, "no-cache")
    assert get(service, "/base.css", If_None_Match='"other"')[0] == 200


def test_a_part_of_a_segment_is_given(serve: Serve) -> None:
    service = serve(cors=True)
    status, body, headers = get(service, "/segment", Range="bytes=10-19")
    assert (status, len(body), headers["Content-Range"]) == (206, 10, "bytes 10-19/1000")
    status, _, headers = get(service, "/segment", Range="bytes=1000-")
    assert (status, headers["Content-Range"]) == (416, "bytes */1000")
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["OPTIONS /segment HTTP/1.1", "Host: localhost"], 204),
        (["GET /base.css HTTP/1.1", "Host: localhost", "If-None-Match: *"], 304),
    ],
)
def test_an_answer_that_cannot_have_a_body_tells_of_none(serve: Serve, lines: list[str], status: int) -> None:
    """RFC 9110, 8.6: a length of 0 would be that of the file."""
    answer = raw(serve(), "\r\n".join([*lines, "", ""]).encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-" not in answer.replace(b"\r\nContent-Security-Policy", b"")


REQUESTS = ["/base.css", "/segment", "/stream", "/absent", "/nothing", "/bug", "/%FF", "/?" + "a=1&" * 40]


@pytest.mark.parametrize("target", REQUESTS)
@pytest.mark.parametrize(
    "header",
    [
        "Accept: text/html",
        "Host: evil.example",
        "Content-Length: 7",
        "If-None-Match: *",
        "If-Range: x",
        "X: y",
    ],
)
def test_head_gives_the_very_head_that_get_gives(serve: Serve, target: str, header: str) -> None:
    """RFC 9110, 9.3.2; whatever is wrong with a request, no body follows."""
    service = serve(Access(keys=KeyRing((KEY.encode(),))))
    for key in ("", f"Authorization: Bearer {KEY}"):
        own_host = [] if header.startswith("Host") else ["Host: localhost"]
        rest = [*own_host, header, *([key] if key else []), "Connection: close", "", ""]
        got, headed = (
            raw(service, "\r\n".join([f"{method} {target} HTTP/1.1", *rest]).encode())
            for method in ("GET", "HEAD")
        )
        assert headed.endswith(b"\r\n\r\n")
        assert undated(headed) == undated(got.partition(b"\r\n\r\n")[0])


def undated(head: bytes) -> list[bytes]:
    return [line for line in head.split(b"\r\n") if line and not line.startswith(b"Date: ")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "BREW"])
def test_a_method_that_could_change_something_is_answered_with_405(serve: Serve, method: str) -> None:
    status, body, headers = get(serve(), "/base.css", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert b"read-only" in body


def test_a_bug_costs_one_answer_and_not_the_service(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    service = serve()
    status, body, _ = get(service, "/bug")
    assert status == 500
    assert b"ZeroDivisionError" not in body
    assert "ZeroDivisionError" in caplog.text
    assert get(service, "/base.css")[0] == 200


# Connections


def test_requests_that_are_sent_at_once_are_answered_in_their_order(serve: Serve) -> None:
    """Pipelining (RFC 9112, 9.3.2)."""
    targets = ["/absent", "/segment", "/base.css", "/nothing"]
    asked = "".join(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n" for target in targets)
    answers = raw(serve(), asked.encode())
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"404", b"200", b"200", b"404"]
    assert answers.count(bytes(1000)) == 1


def test_a_viewer_of_the_old_protocol_keeps_its_connection_if_it_asks_for_that(serve: Serve) -> None:
    one = b"GET /base.css HTTP/1.0\r\nConnection: %b\r\n\r\n"
    answers = raw(serve(), one % b"keep-alive" + one % b"close" + one % b"keep-alive")
    assert re.findall(rb"HTTP/1.1 (\d+)|Connection: ([\w-]+)", answers) == [
        (b"200", b""), (b"", b"keep-alive"), (b"200", b""), (b"", b"close"),
    ]  # fmt: skip


def test_a_browser_that_says_https_is_told_at_once_to_say_http(serve: Serve) -> None:
    with socket.create_connection(serve().address, timeout=timing.HEAD_SECONDS / 2) as sock:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version|record layer"):
            context.wrap_socket(sock, server_hostname="localhost")


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\r\n\x16", b"\x04\x01", b"\x80\x2e", b"\xff", b" GET"])
def test_what_cannot_become_a_request_is_refused_at_its_first_byte(serve: Serve, first: bytes) -> None:
    with socket.create_connection(serve().address, timeout=timing.HEAD_SECONDS / 2) as sock:
        sock.sendall(first)
        answer = sock.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (b"http://, not https://" in answer) == (b"\x16" in first)


@pytest.mark.parametrize("bound", ["::", "0.0.0.0", "::1"])
def test_who_names_no_host_is_known_by_the_address_that_was_reached(crash: Recorder, bound: str) -> None:
    """To who listens everywhere IPv4 shows as ::ffff:127.0.0.1, which nobody could type."""
    reached: list[str] = []

    def answer(request: Request) -> Response:
        reached.append(request.base)
        return Response()

    with Service(Settings(HostPort(bound, 0), Access()), answer, crash) as service:
        host = "::1" if bound == "::1" else "127.0.0.1"
        with socket.create_connection((host, service.address.port), timeout=20) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert reached == [f"http://{HostPort(host, service.address.port)}"]


# Origins


def test_pages_of_other_origins_get_what_is_public_and_only_if_told_so(serve: Serve) -> None:
    closed, shared = serve(), serve(cors=True)
    assert get(closed, "/segment")[2]["Access-Control-Allow-Origin"] is None
    headers = get(shared, "/segment")[2]
    assert (headers["Access-Control-Allow-Origin"], headers["Cross-Origin-Resource-Policy"]) == (
        "*",
        "cross-origin",
    )
    assert get(shared, "/base.css")[2]["Access-Control-Allow-Origin"] is None


def test_a_browser_may_ask_before_it_asks(serve: Serve) -> None:
    status, _, headers = get(serve(cors=True), "/segment", "OPTIONS", Origin="http://other.example")
    assert (status, headers["Access-Control-Allow-Headers"]) == (204, "Authorization, Range")
    assert get(serve(), "/segment", "OPTIONS")[2]["Access-Control-Allow-Headers"] is None


def test_a_page_under_a_foreign_name_is_turned_away(serve: Serve) -> None:
    status, body, _ = get(serve(), "/base.css", Host="evil.example")
    assert status == 421
    assert b"--http-name" in body


@pytest.mark.parametrize(
    ("path", "rules"), [("/kept", "max-age=60"), ("/base.css", "no-cache"), ("/segment", None)]
)
def test_a_cache_on_the_way_gives_what_needs_a_key_to_nobody_else(
    serve: Serve, path: str, rules: str | None
) -> None:
    assert get(serve(), path)[2]["Cache-Control"] == rules
    headers = get(serve(Access(keys=KeyRing((KEY.encode(),)))), path, Authorization=f"Bearer {KEY}")[2]
    assert headers["Cache-Control"] == (f"private, {rules}" if rules else "private")


def test_a_proxy_is_told_to_hand_on_a_stream_piece_by_piece(serve: Serve) -> None:
    service = serve()
    assert get(service, "/stream", "HEAD")[2]["X-Accel-Buffering"] == "no"
    assert get(service, "/segment", "HEAD")[2]["X-Accel-Buffering"] is None


def test_without_the_key_a_browser_is_asked_for_it_and_with_it_gets_a_cookie(serve: Serve) -> None:
    service = serve(Access(keys=KeyRing((KEY.encode(),))))
    status, body, headers = get(service, "/base.css")
    assert (status, headers["WWW-Authenticate"].split()[0]) == (401, "Basic")
    assert KEY.encode() not in body
    status, _, headers = get(service, "/base.css", Authorization=f"Bearer {KEY}")
    assert status == 200
    assert get(service, "/base.css", Cookie=headers["Set-Cookie"].partition(";")[0])[0] == 200
    assert get(service, "/absent")[0] == 401  # not even what there is


def test_the_cookie_of_one_page_lets_in_to_all_and_to_no_service_of_another_port(serve: Serve) -> None:
    """By the rules of the standard library's jar, which are those of browsers."""
    access = Access(keys=KeyRing((KEY.encode(),)))
    service, other = serve(access), serve(replace(access, cookie="mcast-other"))
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    first = urllib.request.Request(f"http://{service.address}/deep/in/segment")
    first.add_header("Authorization", f"Bearer {KEY}")
    assert status_of(browser, first) == 200
    assert status_of(browser, urllib.request.Request(f"http://{service.address}/base.css")) == 200
    assert status_of(browser, urllib.request.Request(f"http://{other.address}/base.css")) == 401


def status_of(browser: urllib.request.OpenerDirector, asked: urllib.request.Request) -> int:
    try:
        with browser.open(asked, timeout=20) as answer:
            assert isinstance(answer, http.client.HTTPResponse)
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# Bounds


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(timing, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(timing, "SEND_SECONDS", 0.2)


@pytest.mark.usefixtures("hasty")
def test_who_drips_a_request_is_told_and_cut(serve: Serve) -> None:
    with socket.create_connection(serve().address, timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 408 ")


def test_an_mcast_program_that_has_taken_the_wrong_port_is_told_so_before_a_head_would_be_overdue(
    serve: Serve,
) -> None:
    with socket.create_connection(serve().address, timeout=timing.HEAD_SECONDS / 2) as sock:
        sock.sendall(encode(Wake()))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.usefixtures("hasty")
def test_who_asks_nothing_is_let_go(serve: Serve) -> None:
    service = serve()
    with socket.create_connection(service.address, timeout=20) as sock:
        assert sock.recv(1) == b""
    wait_until(lambda: service.connections == 0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("path", ["/much", "/flood"])
def test_who_does_not_take_what_he_asked_for_costs_himself_alone(
    serve: Serve, program: Program, path: str
) -> None:
    service = serve()
    with socket.create_connection(service.address, timeout=20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert get(service, "/base.css")[0] == 200
        wait_until(lambda: service.counters["http_cut"] == 1)
        wait_until(lambda: service.connections == 0)
    assert all(stream.closed.is_set() for stream in program.streams)


def test_a_head_without_an_end_is_refused(serve: Serve) -> None:
    assert raw(serve(), b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 431 ")


def test_beyond_the_bound_a_viewer_is_told_to_come_again(serve: Serve) -> None:
    service = serve(most=2)
    with client_of(service) as first, client_of(service) as second:
        assert [status_over(client) for client in (first, second)] == [200, 200]
        status, _, headers = get(service, "/base.css")
        assert (status, headers["Retry-After"]) == (503, "5")
    wait_until(lambda: service.connections == 0)
    assert get(service, "/base.css")[0] == 200
    assert service.counters["http_refused"] == 1


@pytest.fixture
def from_afar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service see 127.0.0.N as 192.0.2.N: this machine's own viewers have no share."""

    def seen(sock: socket.socket) -> IPv4Address:
        return IPv4Address("192.0.2.0") + int(peer_ip(sock)) % 256

    monkeypatch.setattr("mcast.web.service.peer_ip", seen)


@pytest.mark.usefixtures("from_afar")
def test_one_address_cannot_have_all_connections_and_another_still_gets_in(serve: Serve) -> None:
    service = serve(most=64)

    def ask(host: str, times: int, kept: contextlib.ExitStack) -> list[int]:
        """Return the statuses of some answers; the connections stay open."""
        clients = [kept.enter_context(client_of(service, host)) for _ in range(times)]
        return [status_over(client) for client in clients]

    with contextlib.ExitStack() as others:
        with contextlib.ExitStack() as greedy:
            assert ask("127.0.0.2", 40, greedy) == [200] * 32 + [503] * 8  # half of all
            assert ask("127.0.0.3", 18, others) == [200] * 16 + [503] * 2  # a quarter
            assert ask("127.0.0.4", 1, others) == [200]
            assert service.connections == 49
            assert service.counters["http_refused"] == 10
        wait_until(lambda: service.connections == 17)
        assert ask("127.0.0.2", 1, others) == [200]


def test_viewers_of_this_machine_may_have_all_connections_as_they_may_be_behind_a_proxy(
    serve: Serve,
) -> None:
    service = serve(most=64)
    with contextlib.ExitStack() as viewers:
        clients = [viewers.enter_context(client_of(service)) for _ in range(64)]
        assert [status_over(client) for client in clients] == [200] * 64
        assert get(service, "/base.css")[0] == 503


def test_two_hundred_viewers_at_once_are_answered(serve: Serve) -> None:
    service = serve()
    request = b"GET /base.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as viewers:
        socks = [
            viewers.enter_context(socket.create_connection(service.address, timeout=60)) for _ in range(200)
        ]
        for sock in socks:
            sock.sendall(request)
        assert all(sock.recv(12) == b"HTTP/1.1 200" for sock in socks)


def test_while_nothing_comes_a_stream_is_asked_again_at_once(serve: Serve, program: Program) -> None:
    with socket.create_connection(serve().address, timeout=20) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: program.streams[0].times >= 3, timeout=timing.SEND_SECONDS / 2)


def test_a_stream_of_nothing_ends_when_its_viewer_has_gone(serve: Serve, program: Program) -> None:
    service = serve()
    with socket.create_connection(service.address, timeout=20) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
    assert program.streams[0].closed.wait(10)
    wait_until(lambda: service.connections == 0)


def test_nor_does_a_request_that_waits_behind_a_stream_hide_that_its_viewer_has_gone(
    serve: Serve, program: Program
) -> None:
    service = serve()
    with socket.create_connection(service.address, timeout=20) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
        sock.sendall(b"GET /base.css HTTP/1.1\r\nHost: localhost\r\n\r\n")
        asked = program.streams[0].times
        wait_until(lambda: program.streams[0].times >= asked + 3, "the stream to go on")
        sock.shutdown(socket.SHUT_WR)
        assert program.streams[0].closed.wait(10)
    wait_until(lambda: service.connections == 0)


def test_stopping_ends_streams_and_connections_at_rest(serve: Serve, program: Program) -> None:
    service = serve()
    with client_of(service) as resting, socket.create_connection(service.address, timeout=20) as watching:
        resting.request("GET", "/base.css")
        resting.getresponse().read()
        watching.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert watching.recv(12) == b"HTTP/1.1 200"
        service.stop()
        assert program.streams[0].closed.is_set()
        assert service.connections == 0


def test_an_address_that_is_taken_is_an_error_that_names_it(crash: Recorder, serve: Serve) -> None:
    taken = serve().address
    with pytest.raises(ConfigError, match=str(taken.port)):
        Service(Settings(taken, Access()), lambda _: Response(), crash)


TARGETS = st.sampled_from(["/", "/base.css", "/segment", "/absent"])
NOISE = st.text(st.characters(codec="iso-8859-1", exclude_characters="\r\n"), max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.binary(max_size=300) | st.builds(
    lambda target, name, value: f"GET {target} HTTP/1.1\r\nHost: [::1]\r\n{name}: {value}\r\n\r\n".encode(),
    TARGETS, NOISE, NOISE,
))  # fmt: skip
def test_whatever_is_sent_the_service_answers_or_hangs_up_and_lives(serve: Serve, data: bytes) -> None:
    service = serve()
    answer = raw(service, data + b"\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert service.counters["http_crashed"] == 0
    assert get(service, "/base.css")[0] == 200
    service.stop()
