from ipaddress import ip_address

import pytest

from mcast.config.networks import PRIVATE, parse_networks
from mcast.errors import ConfigError


@pytest.mark.parametrize(
    ("ip", "is_private"),
    [
        ("10.0.0.1", True), ("172.31.255.255", True), ("192.168.1.1", True), ("169.254.3.4", True),
        ("127.0.0.1", True), ("::1", True), ("fd00::1", True), ("fe80::1%2", True), ("::ffff:10.0.0.1", True),
        ("172.32.0.1", False), ("8.8.8.8", False), ("2001:db8::1", False), ("::ffff:8.8.8.8", False),
    ],
)  # fmt: skip
def test_private_is_what_nobody_on_the_internet_calls_from(ip: str, is_private: bool) -> None:
    assert (ip_address(ip) in PRIVATE) == is_private


def test_networks_and_single_addresses_are_named_as_usual() -> None:
    networks = parse_networks(["192.0.2.0/24", "2001:db8::7"])
    assert str(networks) == "192.0.2.0/24, 2001:db8::7/128"
    assert [ip_address(ip) in networks for ip in ("192.0.2.9", "2001:db8::7", "2001:db8::8")] == [
        True,
        True,
        False,
    ]
    assert str(parse_networks([])) == "none"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1/8", "it has bits set behind its length"),
        ("lan", "write 10.0.0.0/8"),
        ("10.0.0.0/33", "write"),
    ],
)
def test_what_is_no_network_is_said(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"'{text}' is no network: {problem}"):
        parse_networks([text])


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_an_ipv4_network_in_the_clothes_of_ipv6_is_the_ipv4_one(text: str, means: str) -> None:
    assert str(parse_networks([text])) == means
