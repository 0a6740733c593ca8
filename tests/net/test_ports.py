"""`--media-ports`."""

from ipaddress import ip_address

import pytest

from helpers import unused_port
from mcast.errors import ConfigError
from mcast.net.ports import MediaPorts

LOCAL = ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("text", "low", "high"), [("5000-5003", 5000, 5003), (" 7-7 ", 7, 7), ("9000", 9000, 9000), (None, 0, 0)]
)
def test_a_range_of_media_ports_is_read(text: str | None, low: int, high: int) -> None:
    assert MediaPorts.parse(text) == MediaPorts(low, high)


@pytest.mark.parametrize(
    "text", ["", "-", "a-b", "5000-", "-5000", "6-5", "0-9", "1-65536", "+1-2", "1-2-3", "١-٢"]
)
def test_bad_range_is_refused_with_the_option_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--media-ports"):
        MediaPorts.parse(text)


def test_system_chooses_without_a_range() -> None:
    with MediaPorts().open(LOCAL) as one, MediaPorts().open(LOCAL) as two:
        assert one.getsockname()[1] != two.getsockname()[1]


def test_range_is_used_up_port_by_port_and_then_said_so() -> None:
    low = unused_port(2)
    ports = MediaPorts(low, low + 1)
    with ports.open(LOCAL) as one, ports.open(LOCAL) as two:
        assert sorted([one.getsockname()[1], two.getsockname()[1]]) == [low, low + 1]
        with pytest.raises(ConfigError, match=f"{low}-{low + 1}.*127.0.0.1"):
            ports.open(LOCAL)
        with ports.open(ip_address("127.0.0.2")) as elsewhere:
            assert elsewhere.getsockname() == ("127.0.0.2", low)


def test_address_that_is_not_ours_is_said_so() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        MediaPorts().open(ip_address("192.0.2.1"))
