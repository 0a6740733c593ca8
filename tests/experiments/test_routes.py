"""Which links a packet takes: computed from the file, and the same as the kernels of a running lab decide."""

import json

import pytest

from mcast.errors import ConfigError
from tools.experiments.routes import Routes
from tools.lab.lab import Lab
from tools.lab.topology import Scenario


def nodes_on(routes: Routes, start: str, address: str) -> list[str]:
    return [start, *(flow.receiver for flow in routes.path(start, address))]


def test_a_packet_crosses_routers_and_switches_as_the_static_routes_say(big: Scenario) -> None:
    routes = Routes(big)
    assert nodes_on(routes, "s1", "10.0.21.20") == ["s1", "r1", "rp", "sw10", "n1", "r4", "n3", "r2", "c1"]
    assert nodes_on(routes, "s1", "10.0.24.21")[4:] == ["n1", "n2", "sw14", "n4", "r3", "sw24", "c4"]
    assert nodes_on(routes, "n1", "10.0.12.10") == ["n1", "n2"]
    assert nodes_on(routes, "n1", "10.0.12.1") == ["n1"]


def test_hosts_in_one_network_meet_at_the_switch(simple: Scenario) -> None:
    assert nodes_on(Routes(simple), "c1", "10.0.2.10") == ["c1", "sw2", "n1"]


def test_a_node_with_several_addresses_speaks_from_the_one_towards_the_other(big: Scenario) -> None:
    routes = Routes(big)
    assert routes.source("n3", "10.0.13.10") == "10.0.17.10"
    assert routes.source("n3", "10.0.16.10") == "10.0.16.1"
    assert routes.source("c1", "10.0.20.10") == "10.0.21.20"


def test_an_address_of_nobody_is_refused(big: Scenario) -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 is nobody's address in big_chungus"):
        Routes(big).path("s1", "192.0.2.1")


@pytest.mark.netns
@pytest.mark.parametrize("name", ["simple_1", "big_chungus"])
def test_the_computed_routes_are_those_of_the_kernels(name: str) -> None:
    with Lab(name) as lab:
        routes = Routes(lab.scenario)
        addresses = [
            str(address.ip)
            for device in lab.scenario.devices
            for end in lab.scenario.interfaces(device.name)
            for address in end.addresses
        ]
        for device in lab.scenario.devices:
            others = [address for address in addresses if routes.owner(address) != device.name]
            script = 'for address in "$@"; do ip -json route get "$address"; done'
            said = lab.run(device.name, ["sh", "-c", script, "get", *others]).stdout
            for address, line in zip(others, said.splitlines(), strict=True):
                (found,) = json.loads(line)
                route = routes.route(device.name, address)
                computed = (
                    route.interface,
                    str(route.gateway or "None"),
                    routes.source(device.name, address),
                )
                assert (found["dev"], found.get("gateway", "None"), found["prefsrc"]) == computed, address
