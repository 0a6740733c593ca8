import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import PATIENCE, refuse_threads, wait_until
from mcast.errors import ConfigError, UnreachableError
from mcast.hostport import HostPort, literal_ip, parse_address, parse_host
from mcast.net.addresses import endpoint_of, local_ip, peer_ip, resolve, sockaddr_of
from mcast.net.connection import connect


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:5000", HostPort("10.0.0.1", 5000)),
        ("[2001:db8::1]:5000", HostPort("2001:db8::1", 5000)),
        ("[2001:DB8:0:0::1]:5000", HostPort("2001:db8::1", 5000)),
        ("[::ffff:10.0.0.1]:5000", HostPort("10.0.0.1", 5000)),
        ("rp.example.org:65535", HostPort("rp.example.org", 65_535)),
        ("localhost:0", HostPort("localhost", 0)),
        (":5000", HostPort("", 5000)),
    ],
)
def test_an_address_is_read_in_each_of_its_spellings(text: str, expected: HostPort) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("10.0.0.1", "no port: write HOST:PORT, for example 10.0.0.1:5000"),
        ("[::1]", r"for example \[::1\]:5000"),
        ("::1:5000", "brackets"),
        ("10.0.0.1:", "no number"),
        ("10.0.0.1:http", "no number"),
        ("10.0.0.1:-1", "no number"),
        ("10.0.0.1:65536", "out of range"),
        ("10.0.0.1:99999999999999", "no number"),
        ("10.0.0.1:٣", "no number"),
        ("10.0.0.256:1", "no IPv4 address"),
        ("[10.0.0.1:1", "is no address"),
        ("[::1]5000", "is no address"),
        ("[::g]:1", "no IPv6 address"),
        ("a b:1", "no host name"),
        ("-x:1", "no host name"),
    ],
)
def test_a_bad_address_is_one_clear_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_address(text)


def test_port_0_can_be_forbidden() -> None:
    with pytest.raises(ConfigError, match=r"out of range \(1 to 65535\)"):
        parse_address("10.0.0.1:0", lowest_port=1)


def test_a_default_port_fills_in() -> None:
    assert parse_address("10.0.0.1", default_port=7000) == HostPort("10.0.0.1", 7000)
    assert parse_address("[::1]", default_port=7000) == HostPort("::1", 7000)


@given(st.text(max_size=40) | st.from_regex(r"[\[\]0-9a-f:.%]{0,30}", fullmatch=True))
def test_any_text_is_an_address_that_reads_back_or_a_configuration_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_every_literal_address_goes_to_the_kernels_form_and_back(ip: IPv4Address, port: int) -> None:
    endpoint = endpoint_of(sockaddr_of(ip, port))
    assert str(endpoint) == str(HostPort(str(endpoint.ip), port))
    assert endpoint.ip == literal_ip(str(ip))


def test_a_host_without_a_port_is_read_with_and_without_brackets() -> None:
    assert [parse_host(text) for text in ("10.0.7.1", "[::1]", "::1", "n1.lan")] == [
        "10.0.7.1",
        "::1",
        "::1",
        "n1.lan",
    ]


def test_a_literal_address_never_touches_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert resolve("10.0.0.1", 5000) == [("10.0.0.1", 5000)]
    assert resolve("::1", 5000) == [("::1", 5000, 0, 0)]


def test_a_name_is_resolved() -> None:
    assert ("127.0.0.1", 5000) in resolve("localhost", 5000)


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]
)
def test_an_unknown_name_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ConfigError, match=r"cannot find the host 'nowhere\.invalid'"):
        resolve("nowhere.invalid", 5000)


def test_a_name_server_that_does_not_answer_is_no_mistake_of_the_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError, match=r"'n1\.campus': Temporary failure in name resolution"):
        resolve("n1.campus", 5000)


@pytest.mark.parametrize("scope", ["nope", "²", "99999999999", "4294967296", "9" * 5_000, "a\0b"])
def test_an_interface_that_is_not_there_is_a_configuration_error(scope: str) -> None:
    with pytest.raises(ConfigError, match=f"this machine has no interface '{scope[:10]}"):
        resolve(f"fe80::1%{scope}", 5000)


def test_a_mapped_address_is_read_as_ipv4_and_a_link_local_one_keeps_its_scope() -> None:
    assert str(endpoint_of(("::ffff:10.0.0.1", 1, 0, 0))) == "10.0.0.1:1"
    assert endpoint_of(("fe80::1", 1, 0, 7)).ip == ip_address("fe80::1%7")
    assert sockaddr_of(ip_address("fe80::1%7"), 1) == ("fe80::1", 1, 0, 7)


def test_the_addresses_of_a_dual_stack_connection_are_ipv4() -> None:
    home = ip_address("127.0.0.1")
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.create_connection(("127.0.0.1", server.getsockname()[1])),
        server.accept()[0] as sock,
    ):
        assert (peer_ip(sock), local_ip(sock)) == (home, home)


@pytest.fixture
def dead_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Have no name server answer until the test ends; return who was asked for."""
    asked: list[str] = []
    end = threading.Event()

    def never_answer(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        end.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", never_answer)
    yield asked
    end.set()
    wait_until(lambda: not any(thread.name.startswith("look-up-") for thread in threading.enumerate()))


@pytest.mark.usefixtures("dead_resolver")
def test_a_dead_resolver_is_waited_for_no_longer_than_there_is_time() -> None:
    with pytest.raises(UnreachableError, match=r"'n1\.campus': no name server answers"):
        resolve("n1.campus", 5000, 0.1)


@pytest.mark.usefixtures("dead_resolver")
def test_who_wants_to_go_does_not_wait_for_a_dead_resolver() -> None:
    gone = threading.Event()
    threading.Timer(0.1, gone.set).start()
    with pytest.raises(UnreachableError, match="given up"):
        resolve("n1.campus", 5000, cancelled=gone.is_set)


def test_without_threads_a_name_is_asked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        refuse_threads(patch, "look-up-")
        with pytest.raises(UnreachableError, match="'localhost': can't start new thread"):
            resolve("localhost", 5000, PATIENCE)
    assert resolve("localhost", 5000, PATIENCE)


def test_however_often_a_name_is_asked_for_one_thread_waits(dead_resolver: list[str]) -> None:
    for _ in range(3):
        with pytest.raises(UnreachableError):
            resolve("n1.campus", 5000, 0.01)
    assert dead_resolver == ["n1.campus"]


@pytest.mark.usefixtures("dead_resolver")
def test_connecting_is_given_up_while_the_name_is_looked_up() -> None:
    gone = threading.Event()
    threading.Timer(0.1, gone.set).start()
    with pytest.raises(UnreachableError, match="given up"):
        connect("n1.campus:5000", 600, cancel=gone)
