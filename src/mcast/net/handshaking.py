"""The handshake of whoever has connected, on its connection (the decisions are in `handshake`)."""

import threading
from typing import TYPE_CHECKING

from mcast.errors import UnreachableError, WireError
from mcast.hostport import HostPort
from mcast.net.deadline import Deadline
from mcast.net.handshake import Dialling, HandshakeError
from mcast.net.tcp import CANCEL_CHECK
from mcast.wire.frame import Message

if TYPE_CHECKING:
    from mcast.net.connection import Connection  # which calls this module


def shake_hands(
    connection: "Connection", target: HostPort, dialling: Dialling, deadline: Deadline,
    cancel: threading.Event | None = None,
) -> None:  # fmt: skip
    """Prove that this side knows a key, and have it proven by the other, by the deadline.

    Raises HandshakeError, which names the target, and closes the connection then.
    """
    connection.is_greeting = True
    try:
        connection.send(dialling.greeting, deadline)
        while not dialling.done:
            message = _receive(connection, deadline, cancel)
            if (answer := dialling.on_message(message)) is not None:
                connection.send(answer, deadline)
    except TimeoutError:
        reason = "it asks for no key: start it with the overlay's --key-file"
    except (UnreachableError, WireError) as error:
        reason = str(error)
    else:
        connection.is_greeting = False
        return
    connection.close()
    raise HandshakeError(f"no handshake with {target}: {reason}")


def _receive(connection: "Connection", deadline: Deadline, cancel: threading.Event | None) -> Message:
    while True:
        try:
            return connection.receive(deadline.sooner(None if cancel is None else CANCEL_CHECK))
        except TimeoutError:
            if cancel is not None and cancel.is_set():
                raise HandshakeError("given up") from None
            if deadline.expired:
                raise
