"""Reading scenario files, those that CORE wrote and those that somebody broke."""

import contextlib
from ipaddress import IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.xml_files import DEVICE, PAIR_LINK, ROUTES, pair_xml, scenario_xml
from mcast.errors import ConfigError
from tools.lab.options import LinkOptions
from tools.lab.scenario import load_scenario, parse_scenario
from tools.lab.static_routes import read_static_routes
from tools.lab.topology import CanvasPosition, Scenario


def parse(text: bytes) -> Scenario:
    return parse_scenario(text, "test", "test.xml")


def test_big_chungus_is_read_as_core_wrote_it() -> None:
    scenario = load_scenario("big_chungus")
    assert (len(scenario.devices), len(scenario.networks), len(scenario.links)) == (16, 3, 21)
    assert scenario.link("n2-n3").forward == LinkOptions(delay_us=30_000, loss=1.0)
    assert scenario.link("r2-c2").backward == LinkOptions(10_000, rate=10_000_000, loss=0.5, buffer=500)
    rp = scenario.device("rp")
    assert (rp.kind, rp.forwards, rp.default_route, len(rp.static_routes)) == ("prouter", True, False, 14)
    assert rp.static_routes[0] == "route replace 10.0.6.0/24 via 10.0.9.1"
    assert rp.position == CanvasPosition(580, 310)


def test_interfaces_come_in_the_order_of_their_numbers() -> None:
    interfaces = load_scenario("big_chungus").interfaces("n3")
    assert [(end.name, str(end.addresses[0].ip)) for end in interfaces] == [
        ("eth0", "10.0.17.10"),
        ("eth1", "10.0.15.10"),
        ("eth2", "10.0.16.1"),
        ("eth3", "10.0.20.10"),
    ]


def test_simple_1_has_a_slow_server_with_cores_own_queue() -> None:
    scenario = load_scenario("simple_1")
    assert scenario.link("sw6-s2") is scenario.link("s2-sw6")
    assert scenario.link("s2-sw6").forward.queue == 22
    assert scenario.address("s2") == "10.0.6.11"


def test_an_interface_has_its_mac_and_prefix() -> None:
    first = parse(pair_xml()).links[0].first
    assert (first.mac, first.addresses) == ("00:00:00:aa:00:01", (IPv4Interface("10.9.0.1/24"),))


def test_two_one_way_elements_are_the_directions_of_one_link() -> None:
    there = PAIR_LINK.format(options='<options delay="7000" unidirectional="1"/>')
    back = (
        PAIR_LINK.format(options='<options loss="3.5" unidirectional="1"/>')
        .replace('node1="1" node2="2"', 'node1="2" node2="1"')
        .replace("iface1", "ifaceX")
        .replace("iface2", "iface1")
        .replace("ifaceX", "iface2")
    )
    (link,) = parse(
        scenario_xml(devices=DEVICE.format(1, "a") + DEVICE.format(2, "b"), links=there + back)
    ).links
    assert (link.name, link.forward, link.backward) == ("a-b", LinkOptions(7000), LinkOptions(loss=3.5))


def test_parallel_links_are_told_apart() -> None:
    second = (
        PAIR_LINK.format(options="")
        .replace('id="0" name="eth0"', 'id="1" name="eth1"')
        .replace("10.9.0", "10.9.1")
    )
    second = second.replace("aa:00", "aa:01")
    links = PAIR_LINK.format(options="") + second
    scenario = parse(scenario_xml(devices=DEVICE.format(1, "a") + DEVICE.format(2, "b"), links=links))
    assert [link.name for link in scenario.links] == ["a-b", "a-b:2"]
    assert scenario.link("b-a:2").index == 2


def test_a_device_without_a_list_of_services_has_cores_default() -> None:
    text = scenario_xml(devices='<device id="1" name="a" type="host"/><device id="2" name="b" type="PC"/>')
    assert [device.default_route for device in parse(text).devices] == [True, True]


SWITCH = '<network id="9" name="sw" type="{}"/>'


def broken(text: str, into: str) -> bytes:
    assert text in pair_xml().decode()
    return pair_xml().replace(text.encode(), into.encode(), 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"hello", "not XML: syntax error: line 1"),
        (b"", "not XML: no element found"),
        (b"<html/>", "not a CORE scenario: it begins with <html>"),
        (scenario_xml(), "no devices"),
        (broken('type="PC"', 'type="docker"'), "device a: type 'docker' is unknown"),
        (broken("DefaultRoute", "OSPFv2"), "device a: service 'OSPFv2' is unknown"),
        (scenario_xml(devices='<device id="1" name="r" type="router"/>'), "device r: .* zebra and OSPF"),
        (broken('name="a"', 'name="a b"'), "device 1: 'a b' is not a name"),
        (broken('name="a"', 'name="../x"'), "is not a name"),
        (broken('name="b"', 'name="a"'), "two nodes are called 'a'"),
        (broken('id="2"', 'id="1"'), "the same id 1"),
        (broken('id="2"', 'id="x"'), "device: id='x' is not a whole number"),
        (broken('node2="2"', 'node2="7"'), "node 7, which is neither"),
        (broken('ip4="10.9.0.1"', ""), "a eth0: no address"),
        (broken('ip4="10.9.0.1"', 'ip4="10.9.0"'), "a eth0: ip4 '10.9.0/24' is not an address"),
        (broken('ip4="10.9.0.1"', 'ip4="10.9.0.2"'), "b eth0 and a eth0 both have the address 10.9.0.2"),
        (broken('mac="00:00:00:aa:00:01"', 'mac="x; reboot"'), "is not a MAC address"),
        (broken('name="eth0"', 'name="eth0 up"'), "not an interface name"),
        (pair_xml('<options delay="soon"/>'), "link a-b: option delay='soon' is not a number"),
        (pair_xml('<options loss="120"/>'), "link a-b: loss is 120.0"),
        (pair_xml('<options mburst="5"/>'), "link a-b: option mburst=5: the lab cannot make it"),
        (scenario_xml(networks=SWITCH.format("WIRELESS_LAN")), "network sw: type 'WIRELESS_LAN' is unknown"),
        (
            scenario_xml(devices=DEVICE.format(1, "a"), configurations=ROUTES.format("SSH", "start.sh", "")),
            "replaces 'start.sh': the lab runs only",
        ),
        (
            scenario_xml(
                devices=DEVICE.format(1, "a"),
                configurations=ROUTES.format("StaticRoute", "staticroute.sh", "reboot"),
            ),
            "staticroute.sh of node 1, line 1: 'reboot'",
        ),
        (b"<scenario><session_hooks><hook/></session_hooks></scenario>", "session hooks"),
    ],
)
def test_a_broken_scenario_is_refused_in_one_line(text: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^test.xml: .*{reason}") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_any_mutilated_scenario_is_read_or_refused(data: st.DataObject) -> None:
    text = bytearray(pair_xml('<options delay="7000" loss="1.5" bandwidth="1000000"/>'))
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        text[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(ConfigError):
        parse(bytes(text))


def test_an_unknown_name_lists_the_topologies_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no topology 'medium': .*big_chungus, simple_1"):
        load_scenario("medium")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/x\.xml: No such file"):
        load_scenario("/nowhere/x.xml")


def test_route_scripts_are_read_without_comments() -> None:
    script = (
        "#!/bin/sh\n\n  ip route add default via 10.0.0.1   # up\nip -6 route replace fd00::/8 via fd01::1\n"
    )
    assert read_static_routes(script, "x") == (
        "route add default via 10.0.0.1",
        "route replace fd00::/8 via fd01::1",
    )


@pytest.mark.parametrize(
    "line",
    [
        "ip link set eth0 down",
        "ip route add 1.1.1.1 via 2.2.2.2; reboot",
        "ip route add $(reboot)",
        "% for x in y:",
    ],
)
def test_a_line_that_is_no_route_is_never_run(line: str) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        read_static_routes(line, "x")
