"""Who may ask a server, as its file says."""

from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mcast.config.networks import PRIVATE, Networks, parse_networks
from mcast.errors import ConfigError
from mcast.media.source.server_config import load_server_config
from mcast.net.connection import Connection
from mcast.roles.server.guard import Guard
from mcast.roles.server.main import warn_of_trust
from mcast.wire.endpoint import Endpoint

CONTENT = '[[content]]\nname = "earth"\nsource = "earth.mp4"\n'


def allowed_by(tmp_path: Path, text: str) -> Networks:
    file = tmp_path / "server.toml"
    file.write_text(text + CONTENT)
    return load_server_config(file).allow


def call(peer: str, here: str = "203.0.113.1") -> Connection:
    return cast(Connection, SimpleNamespace(peer=Endpoint.of(peer, 1), local=Endpoint.of(here, 2)))


def test_private_addresses_may_ask_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    assert allowed_by(tmp_path, "") == PRIVATE
    assert allowed_by(tmp_path, 'allow = ["192.0.2.0/24"]\n') == parse_networks(["192.0.2.0/24"])


@pytest.mark.parametrize("value", ['"10.0.0.0/8"', "[1]", '["lan"]'])
def test_a_list_that_is_none_names_the_key(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.toml: allow: "):
        allowed_by(tmp_path, f"allow = {value}\n")


def test_the_host_itself_may_always_ask_and_others_only_from_the_list() -> None:
    guard = Guard(parse_networks(["192.0.2.0/24"]), "server.toml")
    assert guard.objection(call("192.0.2.7")) is None
    assert guard.objection(call("203.0.113.1")) is None
    assert guard.objection(call("127.0.0.1")) is None
    objection = guard.objection(call("10.0.0.1"))
    assert objection is not None
    assert objection.startswith("10.0.0.1 is in no network of 'allow' in server.toml: add it")


def test_a_changed_list_counts_from_then_on() -> None:
    guard = Guard(PRIVATE, "server.toml")
    guard.allow(parse_networks([]))
    assert guard.objection(call("10.0.0.1")) is not None


def test_only_the_rendezvous_points_say_which_numbers_a_stream_bears_where_the_file_names_them() -> None:
    assert Guard(PRIVATE, "server.toml").disbelief(call("10.0.0.1")) is None
    guard = Guard(PRIVATE, "server.toml", parse_networks(["10.0.0.4"]))
    assert guard.disbelief(call("10.0.0.4")) is None
    why = guard.disbelief(call("10.0.0.1"))
    assert why == "10.0.0.1 is not in 'rendezvous' in server.toml: add it if this is a rendezvous point"
    guard.allow(PRIVATE, parse_networks(["10.0.0.1"]))
    assert guard.disbelief(call("10.0.0.1")) is None


def test_a_file_that_does_not_name_them_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('rendezvous = ["10.0.0.4"]\n' + CONTENT)
    warn_of_trust(load_server_config(file))
    assert caplog.text == ""
    file.write_text(CONTENT)
    warn_of_trust(load_server_config(file))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{file}: rendezvous: whoever may ask is believed which SSRC")


def test_room_is_kept_for_the_rendezvous_points_that_the_file_names() -> None:
    named, other = ip_address("10.0.0.4"), ip_address("10.0.0.1")
    guard = Guard(PRIVATE, "server.toml", parse_networks(["10.0.0.4"]))
    assert (guard.is_rendezvous(named), guard.is_rendezvous(other)) == (True, False)
    guard.allow(PRIVATE)
    assert not guard.is_rendezvous(named)


def test_the_file_names_the_rendezvous_points(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('rendezvous = ["10.0.0.4"]\n[[content]]\nname = "a"\nsource = "a.ts"\n')
    assert load_server_config(file).rendezvous == parse_networks(["10.0.0.4"])
    file.write_text('rendezvous = ["nonsense"]\n[[content]]\nname = "a"\nsource = "a.ts"\n')
    with pytest.raises(ConfigError, match=r"server\.toml: rendezvous: "):
        load_server_config(file)
