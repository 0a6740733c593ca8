"""Addresses on the wire: one spelling for each, and none that means nothing elsewhere."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire.codec import Reader, Writer
from mcast.wire.endpoint import OPTIONAL_ENDPOINT, Endpoint
from wire.strategies import endpoints, hostile, taken


def written(endpoint: Endpoint | None) -> bytes:
    writer = Writer()
    OPTIONAL_ENDPOINT.write(writer, endpoint)
    return writer.data()


@pytest.mark.parametrize(
    ("endpoint", "wire", "text"),
    [
        (Endpoint.of("10.0.0.1", 5000), "04 0a000001 1388", "10.0.0.1:5000"),
        (Endpoint.of("::1", 5000), "06 00000000000000000000000000000001 1388", "[::1]:5000"),
        (None, "00", "None"),
    ],
)
def test_endpoints_are_written_and_read_byte_for_byte(
    endpoint: Endpoint | None, wire: str, text: str
) -> None:
    assert written(endpoint) == bytes.fromhex(wire)
    assert OPTIONAL_ENDPOINT.read(Reader(bytes.fromhex(wire))) == endpoint
    assert str(endpoint) == text


def test_ipv4_in_ipv6s_clothes_becomes_ipv4() -> None:
    assert Endpoint.of("::ffff:10.0.0.1", 1).ip == IPv4Address("10.0.0.1")
    mapped = bytes.fromhex("06 00000000000000000000ffff0a000001 1388")
    assert Endpoint.read(Reader(mapped)) == Endpoint.of("10.0.0.1", 5000)


def test_a_link_local_address_goes_into_no_packet() -> None:
    with pytest.raises(ValueError, match="link-local"):
        written(Endpoint.of("fe80::1%2", 5000))
    with pytest.raises(WireError, match="link-local"):
        Endpoint.read(Reader(bytes.fromhex("06 fe800000000000000000000000000001 1388")))


def test_link_local_ipv4_is_like_any_other() -> None:
    assert written(Endpoint.of("169.254.0.1", 1)) == bytes.fromhex("04 a9fe0001 0001")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_has_sixteen_bits(port: int) -> None:
    with pytest.raises(ValueError, match="no port"):
        Endpoint.of("10.0.0.1", port)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [("05 0a000001 1388", "unknown address family 5"), ("04 0a0000", "cut short"), ("", "cut short")],
)
def test_a_peers_wrong_endpoint_is_a_wire_error(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        OPTIONAL_ENDPOINT.read(Reader(bytes.fromhex(wire)))


def test_an_endpoint_that_must_be_there_is_not_nobody() -> None:
    with pytest.raises(WireError, match="family 0"):
        Endpoint.read(Reader(b"\0"))


@given(endpoints)
def test_every_endpoint_round_trips(endpoint: Endpoint) -> None:
    assert Endpoint.read(Reader(written(endpoint))) == endpoint


@given(hostile(endpoints.map(written)))
def test_any_bytes_give_an_endpoint_or_a_wire_error(data: bytes) -> None:
    if (endpoint := taken(OPTIONAL_ENDPOINT.read, Reader(data))) is not None:
        assert OPTIONAL_ENDPOINT.read(Reader(written(endpoint))) == endpoint
