"""What this machine can tell before the search."""

import socket

import pytest

from client.conftest import Subscribe
from helpers import unused_port
from mcast.errors import ConfigError


def test_a_name_that_nobody_knows_is_the_users_to_mend(subscribe: Subscribe) -> None:
    with pytest.raises(ConfigError, match=r"no-such-host\.invalid"):
        subscribe("no-such-host.invalid:5000").start()


def test_no_media_port_is_the_users_to_mend(subscribe: Subscribe) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=str(port)):
            subscribe(media_ports=f"{port}-{port}").start()


def test_ports_that_are_free_are_left_free(subscribe: Subscribe) -> None:
    port = unused_port()
    subscribe(media_ports=f"{port}-{port}").start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
