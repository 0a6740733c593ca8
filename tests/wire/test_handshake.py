from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import WireError
from mcast.wire import handshake
from mcast.wire.handshake import Role
from wire.strategies import handshake_messages, hostile


def test_programs_are_called_as_people_call_them() -> None:
    assert [role.program for role in Role] == [
        "mcast-bootstrap",
        "mcast-node",
        "mcast-server",
        "mcast-client",
    ]


@given(handshake_messages)
def test_what_is_written_is_read_again(message: handshake.HandshakeMessage) -> None:
    assert handshake.unpack(message.pack()) == message


@given(hostile(st.builds(lambda message: message.pack(), handshake_messages)))
def test_any_bytes_are_a_message_or_a_wire_error(body: bytes) -> None:
    try:
        message = handshake.unpack(body)
    except WireError:
        return
    assert handshake.unpack(message.pack()) == message
