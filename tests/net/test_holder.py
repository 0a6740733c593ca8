"""A port in use names the program of ours that has it: the true cause of a second start."""

import errno
import os
import socket
import threading

import pytest

from mcast.config.key_file import KeyRing
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.net.connection import Connection
from mcast.net.entrance import Rules
from mcast.net.handshake import Credentials
from mcast.net.holder import holder_of
from mcast.net.listener import Listener
from mcast.net.threads import CrashBox
from mcast.wire.handshake import Role

TAKEN = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
KEY = KeyRing((b"k" * 32,))


def listener(address: str, role: Role, keys: KeyRing) -> Listener:
    def handle(_connection: Connection) -> None:
        raise AssertionError("who only asks what runs here is nobody's guest")

    rules = Rules(credentials=Credentials(role, keys))
    return Listener(address, handle, CrashBox(threading.Event()), rules=rules)


@pytest.mark.parametrize("keys", [KeyRing(), KEY], ids=["without a key", "with a key"])
@pytest.mark.parametrize("role", [Role.BOOTSTRAPPER, Role.NODE, Role.SERVER])
def test_a_second_program_at_a_port_is_told_what_runs_there(role: Role, keys: KeyRing) -> None:
    first = listener("127.0.0.1:0", role, keys)
    first.start()
    try:
        said = (
            f"{role.program} runs here already, at port {first.port}: stop it first, or choose another port"
        )
        with pytest.raises(ConfigError, match=said):
            listener(str(first.address), role, keys)
        assert holder_of(HostPort("", first.port), TAKEN) == role.program, "however it is bound"
    finally:
        first.stop()


def test_a_port_of_somebody_else_is_only_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = HostPort("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ConfigError, match=r"is in use on 127\.0\.0\.1: choose another one"):
            listener(str(address), Role.NODE, KeyRing())


def test_nobody_is_asked_where_the_fault_is_another_one() -> None:
    assert holder_of(HostPort("127.0.0.1", 1), OSError(errno.EACCES, "no")) == ""
