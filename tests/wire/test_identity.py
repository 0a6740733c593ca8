"""Nodes are names, clients are random bytes, and neither is an address."""

import contextlib

import pytest
from hypothesis import given

from mcast.errors import WireError
from mcast.wire.codec import Reader, Writer
from mcast.wire.identity import IDENTITY, NODE_NAME, Identity, IdentityKind
from wire.strategies import hostile, identities

CLIENT = bytes(range(16))


def written(identity: Identity) -> bytes:
    writer = Writer()
    identity.write(writer)
    return writer.data()


@pytest.mark.parametrize(
    ("identity", "wire"),
    [
        (Identity.node("n1"), "00 02 6e31"),
        (Identity.client(CLIENT), "01 10 000102030405060708090a0b0c0d0e0f"),
    ],
)
def test_identities_are_written_and_read_byte_for_byte(identity: Identity, wire: str) -> None:
    assert written(identity) == bytes.fromhex(wire)
    assert Identity.read(Reader(bytes.fromhex(wire))) == identity


def test_a_node_is_called_by_its_name_and_a_client_by_the_start_of_its_bytes() -> None:
    assert str(Identity.node("campus-n1")) == "campus-n1"
    assert Identity.client(CLIENT).name == "client-00010203"


def test_identities_have_an_order_for_tables_and_are_keys() -> None:
    people = {Identity.client(CLIENT), Identity.node("b"), Identity.node("a"), Identity.node("a")}
    assert [str(one) for one in sorted(people)] == ["a", "b", "client-00010203"]


@pytest.mark.parametrize("name", ["", "x" * 65, "é" * 33, "two\nlines", "bell\a", "\udc80"])
def test_no_node_bears_an_empty_long_or_unprintable_name(name: str) -> None:
    with pytest.raises(ValueError):
        Identity.node(name)
    with pytest.raises(ValueError):
        NODE_NAME.write(Writer(), name)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_client_has_sixteen_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Identity.client(bytes(size))


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("02 02 6e31", "IdentityKind"),
        ("00 00", "1 to 64 bytes"),
        ("00 41" + "78" * 65, "1 to 64 bytes"),
        ("00 01 0a", "printable"),
        ("00 01 ff", "utf-8"),
        ("01 02 6e31", "16 bytes, not 2"),
        ("00 05 6e31", "cut short"),
        ("00", "cut short"),
    ],
)
def test_a_peers_wrong_identity_is_a_wire_error(wire: str, problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        IDENTITY.read(Reader(bytes.fromhex(wire)))


def test_a_peers_wrong_node_name_is_a_wire_error() -> None:
    for data in (b"", b"x" * 65, b"two\nlines", b"\xff"):
        with pytest.raises(WireError, match="no node's name"):
            NODE_NAME.read(Reader(data))


@given(identities)
def test_every_identity_round_trips(identity: Identity) -> None:
    assert Identity.read(Reader(written(identity))) == identity
    assert isinstance(identity.kind, IdentityKind)


@given(hostile(identities.map(written)))
def test_any_bytes_give_an_identity_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        identity = Identity.read(Reader(data))
        assert data.startswith(written(identity))
