"""`SCENARIO.core` and everything else in resources/configs that belongs to a scenario."""

import contextlib
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.config.reading import read_config
from mcast.errors import ConfigError
from tools.experiments import footage
from tools.experiments.addresses import CHECKOUT, CONFIGS, load_addresses, parse_addresses
from tools.experiments.routes import Routes
from tools.lab.scenario import load_scenario

SCENARIOS = ["simple_1", "big_chungus"]
CONTENTS = {"simple_1": {"moon"}, "big_chungus": {"earth", "mars"}}

scenarios = pytest.mark.parametrize("name", SCENARIOS)


@scenarios
def test_every_address_belongs_to_the_node_that_has_it(name: str) -> None:
    routes, known = Routes(load_scenario(name)), load_addresses(name)
    for server, address in known.servers.items():
        assert routes.owner(address.host) == server
    for node in known.layout.nodes:
        for host in known.layout.hosts_of(node):
            assert routes.owner(host) == node
    assert routes.owner(known.bootstrap.host) == {"simple_1": "rp", "big_chungus": "boot"}[name]


@scenarios
def test_every_address_of_an_overlay_node_is_known_to_the_bootstrapper(name: str) -> None:
    """It may call from any of them."""
    scenario, known = load_scenario(name), load_addresses(name)
    for node in known.layout.nodes:
        for end in scenario.interfaces(node):
            for address in end.addresses:
                assert [spec.name for spec in known.layout.find_by_address(address.ip)] == [node]


@scenarios
def test_neighbours_are_reached_over_the_cable_between_them(name: str) -> None:
    """No third overlay node lies on the way, in either direction."""
    routes, layout = Routes(load_scenario(name)), load_addresses(name).layout
    for node in layout.nodes:
        for neighbour, address in layout.neighbours_of(node):
            way = routes.path(node, address.rpartition(":")[0])
            assert [flow.receiver for flow in way if flow.receiver in layout.nodes] == [neighbour]


@scenarios
def test_every_client_asks_the_overlay_node_nearest_to_it(name: str) -> None:
    scenario, known = load_scenario(name), load_addresses(name)
    routes = Routes(scenario)
    assert set(known.clients) == {device.name for device in scenario.devices if device.name[0] == "c"}
    for client, address in known.clients.items():
        way = routes.path(client, address.host)
        assert [flow.receiver for flow in way if flow.receiver in known.layout.nodes] == [way[-1].receiver]
        assert address.port == known.layout.nodes[way[-1].receiver].address.port


@scenarios
def test_each_server_has_a_file_whose_contents_are_made(name: str) -> None:
    for server in load_addresses(name).servers:
        file = CONFIGS / f"{name}.server-{server}.toml"
        config: dict[str, Any] = read_config(file)
        assert {content["name"] for content in config["content"]} == CONTENTS[name]
        for content in config["content"]:
            source = (file.parent / content["source"]).resolve()
            assert source == (footage.CONTENTS / f"{content['name']}.mp4").resolve()
        assert (file.parent / config["cache"]).resolve() == footage.CACHE.resolve()


@scenarios
def test_contents_fit_the_links_to_the_clients(name: str) -> None:
    scenario = load_scenario(name)
    made = {picture.name: picture for picture in (footage.EARTH, footage.MARS, footage.MOON)}
    narrowest = min(
        (link.forward.rate for link in scenario.links for end in (link.first, link.second)
         if end.node[0] == "c" and link.forward.rate), default=10**9,
    )  # fmt: skip
    assert all(made[content].bit_rate * 1.2 + 100_000 < narrowest for content in CONTENTS[name])


def test_every_file_of_a_scenario_is_looked_at_here() -> None:
    ours = {file.name.partition(".")[0] for file in CONFIGS.glob("*.core")}
    assert ours == set(SCENARIOS)
    assert (CHECKOUT / "bin" / "core-node").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("s1", "line 1: 's1': expected NAME=HOST:PORT"),
        ("# no\n=10.0.0.1:1", "line 2: '=10.0.0.1:1': expected NAME=HOST:PORT"),
        ("a=10.0.0.1:1\na=10.0.0.2:1", "line 2: .* each name once"),
        ("a=10.0.0.1", "line 1: "),
        ("a=host:7000", "line 1: host:7000: no names, nothing resolves them in CORE"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"^x.core, {complaint}"):
        parse_addresses(text, "x.core")


@given(st.text() | st.from_regex(r"([a-z]{1,3}=[0-9.]{1,12}(:[0-9]{0,6})?\n)*", fullmatch=True))
def test_any_text_gives_addresses_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        found = parse_addresses(text, "x.core")
        assert all(ipaddress.ip_address(address.host) for address in found.values())


def test_missing_files_and_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.core: No such file"):
        load_addresses("mine", tmp_path)
    (tmp_path / "mine.core").write_text("s1=10.0.0.1:7000\n")
    with pytest.raises(ConfigError, match=r"mine\.core: no line 'bootstrap=HOST:PORT'"):
        load_addresses("mine", tmp_path)
