"""Nodes that the file does not name, and whom a node is offered that needs others."""

import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TypeVar

import pytest

from helpers import Recorder, wait_until
from mcast.config.layout import Layout, NodeSpec
from mcast.config.layout_file import parse_layout
from mcast.hostport import HostPort
from mcast.monitoring.registry import NodeStatus
from mcast.net.connection import Connection, PeerGone, connect
from mcast.roles.bootstrap import newcomers as newcomers_module
from mcast.roles.bootstrap.bootstrapper import ASK_PAUSE, Bootstrapper
from mcast.roles.bootstrap.newcomers import Newcomers
from mcast.roles.bootstrap.offers import Usable, connected
from mcast.wire.bootstrap import (
    MAX_OFFERED,
    Health,
    LayoutMessage,
    Links,
    Offer,
    Refused,
    Register,
    Seek,
)
from mcast.wire.frame import Message
from mcast.wire.health import StreamHealth
from mcast.wire.identity import Identity
from mcast.wire.position import Position

HERE = ip_address("10.0.5.7")


def campus(**keys: object) -> Layout:
    return parse_layout(
        {
            "rendezvous": "rp",
            "nodes": {
                "rp": {"address": "10.0.4.10:5000"},
                "n1": {"address": "10.0.5.1:5000", "neighbours": ["rp"]},
                "n2": {"address": "10.0.6.2:5000", "neighbours": ["n1"]},
                "n3": {"address": "192.168.0.3:5000", "neighbours": ["n2"]},
            },
            **keys,
        },
        "campus.toml",
    )


def lab(name: str, ip: str = "10.0.5.7") -> NodeSpec:
    return NodeSpec(name, HostPort(ip, 5000))


def up(*names: str, **streams: StreamHealth) -> dict[str, NodeStatus]:
    """Return nodes that are up; a stream is that of the node of its keyword."""
    known = {name: NodeStatus(name, b"", "", 0.0, 0.0) for name in (*names, *streams)}
    for name, stream in streams.items():
        known[name].streams = {stream.content: stream}
    return known


def stream(*path: str, fed: bool = True) -> StreamHealth:
    return StreamHealth("news", tuple(map(Identity.node, path)), (), Position(1, 2), fed=fed)


def names(nodes: dict[str, NodeStatus], asker: str = "lab-1", content: str = "news") -> list[str]:
    return [each.name for each in usable(campus(), nodes).for_node(asker, HERE, content)]


def usable(layout: Layout, nodes: dict[str, NodeStatus]) -> Usable:
    return Usable(layout, nodes, connected(layout, nodes), full=frozenset())


# Who is offered


def test_those_that_stream_come_first_then_the_rendezvous_point_then_those_with_an_address_alike() -> None:
    nodes = up("rp", "n1", "n2", n3=stream("rp", "n1", "n2", "n3"))
    assert names(nodes) == ["n3", "rp", "n1", "n2"]
    assert names(nodes, content="") == ["rp", "n1", "n2", "n3"]


def test_who_is_down_or_cut_off_or_a_neighbour_or_below_the_asker_is_offered_to_nobody() -> None:
    assert names(up("rp", "n1", "n3")) == ["rp", "n1"]  # n2 is down, so nothing leads to n3
    assert names(up("rp", "n1", n2=stream("rp", "n1", "n2", fed=False))) == ["rp", "n1"]
    nodes = up("rp", n1=stream("rp", "n1"), n2=stream("rp", "n1", "n2"), n3=stream("rp", "n1", "n2", "n3"))
    assert names(nodes, asker="n1") == []
    assert names(nodes, asker="n2") == ["rp"]


def behind_a_gateway() -> Layout:
    """Return a layout in which the nodes g1 to g3 stand behind a gateway, and two others elsewhere."""
    nodes: dict[str, object] = {"rp": {"address": "10.0.4.10:5000"}}
    for at, name in enumerate(("gate", "other", "idle"), 1):
        nodes[name] = {"address": f"10.0.4.{at}:5000", "neighbours": ["rp"]}
    for at in (1, 2, 3):
        nodes[f"g{at}"] = {"address": f"10.0.5.{at}:5000", "neighbours": ["gate"]}
    return parse_layout({"rendezvous": "rp", "nodes": nodes}, "campus.toml")


def through_a_gateway() -> dict[str, NodeStatus]:
    """Return nodes that are up: all stream, g1 to g3 by way of the gateway, but for one that is idle."""
    members = {name: stream("rp", "gate", name) for name in ("g1", "g2", "g3")}
    rest = {"rp": stream("rp"), "gate": stream("rp", "gate"), "other": stream("rp", "other")}
    return up("idle", **rest, **members)


def offered_to_g1(nodes: dict[str, NodeStatus], heard_since: float = 0.0) -> list[str]:
    layout = behind_a_gateway()
    some = Usable(layout, nodes, connected(layout, nodes), frozenset(), heard_since)
    return [each.name for each in some.for_node("g1", HERE, "news")]


def test_who_is_fed_by_the_parent_that_the_asker_has_lost_is_offered_last_however_near_it_is() -> None:
    assert offered_to_g1(through_a_gateway()) == ["rp", "other", "idle", "g2", "g3"]


def test_a_way_by_a_node_that_is_gone_or_is_not_fed_itself_is_offered_last() -> None:
    gone, leaving = through_a_gateway(), through_a_gateway()
    for nodes in (gone, leaving):
        nodes["g1"].streams = {}  # what is not known of the asker itself, is known of the gateway
    leaving["gate"].streams = {"news": stream("rp", "gate", fed=False)}
    assert offered_to_g1(leaving) == ["rp", "other", "idle", "g2", "g3"]
    gone["g2"].streams = {"news": stream("rp", "gone", "g2")}
    assert offered_to_g1(gone) == ["rp", "g3", "other", "idle", "g2"]


def test_who_has_said_nothing_for_some_seconds_and_who_is_fed_by_way_of_it_are_offered_last() -> None:
    nodes = through_a_gateway()
    nodes["g1"].streams = {}
    for name in ("rp", "other", "idle", "g2", "g3"):
        nodes[name].heard = 9.0
    assert offered_to_g1(nodes, heard_since=8.0) == ["rp", "other", "idle", "g2", "g3"]
    nodes["gate"].heard, nodes["other"].heard = 9.0, 7.0
    assert offered_to_g1(nodes, heard_since=8.0) == ["rp", "g2", "g3", "idle", "other"]


def test_a_client_is_offered_last_who_has_said_nothing_for_some_seconds() -> None:
    nodes = up("rp", "n1", "n2")
    for name in ("rp", "n2"):
        nodes[name].heard = 9.0
    some = Usable(campus(), nodes, connected(campus(), nodes), frozenset(), heard_since=8.0)
    assert [each.name for each in some.for_client(HERE, "news", frozenset())] == ["rp", "n2", "n1"]


def test_that_all_are_fed_by_the_rendezvous_point_that_the_asker_has_lost_makes_no_way_doubtful() -> None:
    siblings = {name: stream("rp", name) for name in ("g1", "gate", "g2")}
    assert offered_to_g1(up("idle", rp=stream("rp"), **siblings)) == ["rp", "g2", "idle"]


def test_a_loopback_address_is_offered_on_loopback_only() -> None:
    layout = campus().extended({"lab-2": lab("lab-2", "127.0.0.1")}, {"lab-2": ["rp"]})
    nodes = up("rp", "lab-2")
    offered = usable(layout, nodes)
    assert [each.name for each in offered.for_node("lab-1", HERE, "")] == ["rp"]
    on_loopback = offered.for_node("lab-1", ip_address("127.0.0.1"), "")
    assert {each.name for each in on_loopback} == {"rp", "lab-2"}


def test_no_more_are_offered_than_a_message_holds() -> None:
    many = {f"lab-{number}": lab(f"lab-{number}") for number in range(2 * MAX_OFFERED)}
    layout = campus().extended(many, {name: ["rp"] for name in many})
    nodes = up("rp", *many)
    assert len(usable(layout, nodes).for_node("n3", HERE, "")) == MAX_OFFERED
    assert len(usable(layout, nodes).for_client(HERE, "", frozenset())) == MAX_OFFERED


def test_a_client_is_offered_those_with_an_address_like_its_own_but_none_that_is_unlisted() -> None:
    offered = usable(campus(), up("rp", "n1", n2=stream("rp", "n1", "n2")))
    near_n1, near_rp = ip_address("10.0.5.77"), ip_address("10.0.4.99")
    assert next(each.name for each in offered.for_client(near_n1, "news", frozenset())) == "n1"
    assert next(each.name for each in offered.for_client(near_rp, "news", frozenset())) == "rp"
    assert {each.name for each in offered.for_client(HERE, "", {"n1"})} == {"rp", "n2"}


# Who has joined


def test_both_ends_have_the_link_that_a_newcomer_has_chosen_until_it_leaves() -> None:
    newcomers = Newcomers(campus())
    newcomers.join(lab("lab-1"), [])
    assert newcomers.choose("lab-1", ["n1", "rp"]) == {"lab-1", "n1", "rp"}
    assert ("lab-1", "10.0.5.7:5000") in newcomers.layout.neighbours_of("n1")
    assert newcomers.layout.neighbours_of("lab-1") == (("n1", "10.0.5.1:5000"), ("rp", "10.0.4.10:5000"))
    assert newcomers.layout.message("lab-1", 1).joined
    assert not newcomers.layout.message("n1", 1).joined
    assert newcomers.leave("lab-1") == {"n1", "rp"}
    assert newcomers.layout == campus()


def test_a_newcomer_gets_no_more_neighbours_than_the_layout_says_and_none_that_do_not_exist() -> None:
    newcomers = Newcomers(campus(max_neighbours=2))
    newcomers.join(lab("lab-1"), ["n1", "n2", "n3"])
    assert [name for name, _ in newcomers.layout.neighbours_of("lab-1")] == ["n1", "n2"]
    newcomers.choose("lab-1", ["lab-1", "who?"])
    assert newcomers.layout.neighbours_of("lab-1") == ()
    assert newcomers.choose("n1", ["n3"]) == set()  # the file says what its nodes' links are


def test_one_that_comes_again_under_another_address_is_reached_there_by_its_neighbours() -> None:
    newcomers = Newcomers(campus())
    newcomers.join(lab("lab-1"), ["n1"])
    assert newcomers.join(lab("lab-1", "10.0.9.9"), ["n1"]) == {"lab-1", "n1"}
    assert ("lab-1", "10.0.9.9:5000") in newcomers.layout.neighbours_of("n1")


def test_there_is_no_room_for_endless_newcomers_nor_for_too_many_of_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newcomers_module, "MAX_NEWCOMERS", 3)
    monkeypatch.setattr(newcomers_module, "MAX_PER_ADDRESS", 2)
    newcomers = Newcomers(campus())
    for number in (1, 2):
        newcomers.join(lab(f"lab-{number}"), [])
    assert (
        newcomers.lack_of_room(lab("lab-3"))
        == "2 nodes that the file does not name are up at 10.0.5.7 already"
    )
    assert newcomers.lack_of_room(lab("lab-1")) is None  # it is there already
    newcomers.join(lab("lab-3", "10.0.5.8"), [])
    assert "which is the most" in str(newcomers.lack_of_room(lab("lab-4", "10.0.5.9")))


def test_a_node_of_the_file_gets_no_more_newcomers_than_it_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers_module, "MAX_CHOSEN", 1)
    newcomers = Newcomers(campus())
    newcomers.join(lab("lab-1"), ["n1"])
    newcomers.join(lab("lab-2"), ["n1", "n2"])
    assert [name for name, _ in newcomers.layout.neighbours_of("lab-2")] == ["n2"]


def test_another_file_may_name_a_newcomer_or_shut_it_out() -> None:
    newcomers = Newcomers(campus(open=["lab-*"]))
    newcomers.join(lab("lab-1"), ["n1"])
    newcomers.change_file(campus(open=["10.0.0.0/8"]))
    assert "lab-1" in newcomers
    newcomers.change_file(campus(open=["192.168.0.0/16"]))
    assert "lab-1" not in newcomers
    assert newcomers.layout.find_by_name("lab-1") is None


# Nodes of the file that are elsewhere


def elsewhere(name: str = "n1", ip: str = "10.0.9.9") -> NodeSpec:
    return NodeSpec(name, HostPort(ip, 5009))


def test_a_node_of_the_file_is_reached_elsewhere_until_it_is_gone() -> None:
    file = campus(open=True)
    newcomers = Newcomers(file)
    newcomers.join(lab("lab-1"), ["n1"])
    assert newcomers.join(elsewhere(), ["n3"]) == {"rp", "n1", "n2", "lab-1"}
    for neighbour in ("rp", "n2", "lab-1"):
        assert ("n1", "10.0.9.9:5009") in newcomers.layout.neighbours_of(neighbour)
    assert [name for name, _ in newcomers.layout.neighbours_of("n1")] == ["rp", "n2", "lab-1"]
    assert newcomers.layout.message("n1", 1).address == "10.0.9.9:5009"
    assert not newcomers.layout.message("n1", 1).joined
    assert newcomers.join(elsewhere(), []) == set()  # on a new connection
    assert newcomers.leave("n1") == {"rp", "n1", "n2", "lab-1"}
    newcomers.leave("lab-1")
    assert newcomers.layout == file


def test_a_node_that_comes_home_is_reached_as_the_file_says() -> None:
    newcomers = Newcomers(campus(open=True))
    assert newcomers.join(campus().nodes["n1"], []) == set()
    newcomers.join(elsewhere(), [])
    newcomers.join(campus().nodes["n1"], [])
    assert newcomers.layout == campus(open=True)


def test_a_rendezvous_point_that_is_elsewhere_is_watched_there_by_its_standbys() -> None:
    newcomers = Newcomers(campus(open=True, rendezvous=["rp", "n3"]))
    newcomers.join(elsewhere("rp"), [])
    (senior,) = newcomers.layout.message("n3", 1).seniors
    assert senior.address == "10.0.9.9:5009"
    offered = usable(newcomers.layout, up("rp", "n1", "n2")).for_node("n3", HERE, "")
    assert [each.address for each in offered if each.name == "rp"] == ["10.0.9.9:5009"]


@pytest.mark.parametrize(
    "keys",
    [
        {"open": ["10.0.0.0/8"]},  # may no more bear a name of the file
        {"open": True, "nodes": {"rp": {"address": "10.0.4.10:5000"}}},  # the file names it no more
        {
            "open": True,
            "nodes": {
                "rp": {"address": "10.0.4.10:5000"},
                "n1": {"address": "10.0.9.9:5000", "neighbours": ["rp"]},
            },
        },
    ],
)
def test_another_file_says_anew_where_its_nodes_are(keys: dict[str, object]) -> None:
    newcomers = Newcomers(campus(open=True))
    newcomers.join(elsewhere(), [])
    assert newcomers.change_file(campus(open=True)) == set()
    assert newcomers.is_elsewhere("n1")
    file = campus(**keys)
    assert newcomers.change_file(file) == {"n1"} & file.nodes.keys()
    assert newcomers.layout == file


# Over sockets


FILE: dict[str, object] = {
    "rp": {"address": "127.0.0.1:5000"},
    "n1": {"address": "127.0.0.2:5000", "neighbours": ["rp"]},
}


@pytest.fixture
def bootstrapper() -> Iterator[Bootstrapper]:
    layout = parse_layout({"rendezvous": "rp", "nodes": FILE, "open": ["lab-*"]}, "campus.toml")
    crashes = Recorder()
    with Bootstrapper(layout, "campus.toml", HostPort("127.0.0.1", 0), crashes) as running:
        yield running
    assert crashes.calls == []


Dial = Callable[..., Connection]
M = TypeVar("M", bound=Message)


@pytest.fixture
def dial(bootstrapper: Bootstrapper) -> Iterator[Dial]:
    connections: list[Connection] = []

    def register(said: Register, source: str = "127.0.0.1") -> Connection:
        connections.append(connect(bootstrapper.address, 5, source=source))
        connections[-1].send(said)
        return connections[-1]

    yield register
    for connection in connections:
        connection.close()


def node(name: str, *links: str, port: int = 5007, instance: bytes = b"i" * 16) -> Register:
    return Register(name, port, instance, links)


def told(connection: Connection, kind: type[M]) -> M:
    message = connection.receive(10)
    assert isinstance(message, kind)
    return message


def open_to_all(bootstrapper: Bootstrapper, *, is_open: bool = True) -> None:
    bootstrapper.change_layout(
        parse_layout({"rendezvous": "rp", "nodes": FILE, "open": is_open}, "campus.toml")
    )


def reached(connection: Connection) -> dict[str, str]:
    return {each.name: each.address for each in told(connection, LayoutMessage).neighbours}


def neighbours(connection: Connection) -> list[str]:
    return [each.name for each in told(connection, LayoutMessage).neighbours]


def test_a_newcomer_is_offered_who_is_up_and_both_ends_learn_whom_it_takes(dial: Dial) -> None:
    rendezvous = dial(node("rp"))
    assert neighbours(rendezvous) == ["n1"]
    newcomer = dial(node("lab-1"))
    place = told(newcomer, LayoutMessage)
    assert (place.joined, place.address, place.neighbours) == (True, "127.0.0.1:5007", ())
    newcomer.send(Seek())
    (offer,) = told(newcomer, Offer).nodes
    assert (offer.name, offer.address) == ("rp", "127.0.0.1:5000")
    newcomer.send(Links(("rp",)))
    assert neighbours(newcomer) == ["rp"]
    assert neighbours(rendezvous) == ["n1", "lab-1"]


def test_a_newcomer_that_is_gone_is_nobody_s_neighbour(dial: Dial, bootstrapper: Bootstrapper) -> None:
    rendezvous = dial(node("rp"))
    assert neighbours(rendezvous) == ["n1"]
    newcomer = dial(node("lab-1", "rp"))
    assert neighbours(newcomer) == ["rp"]  # the links that it had with a bootstrapper before
    assert neighbours(rendezvous) == ["n1", "lab-1"]
    newcomer.close()
    assert neighbours(rendezvous) == ["n1"]
    assert "lab-1" not in bootstrapper.nodes()


def test_a_node_of_the_file_that_comes_from_elsewhere_is_reached_there_as_long_as_it_is_up(
    dial: Dial, bootstrapper: Bootstrapper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    open_to_all(bootstrapper)
    rendezvous = dial(node("rp", port=5000))
    assert reached(rendezvous) == {"n1": "127.0.0.2:5000"}
    moved = dial(node("n1"), "127.0.0.9")
    assert told(moved, LayoutMessage).address == "127.0.0.9:5007"
    assert reached(rendezvous) == {"n1": "127.0.0.9:5007"}
    moved.close()
    assert reached(rendezvous) == {"n1": "127.0.0.2:5000"}
    assert "n1 is not where the file says: its neighbours reach it at 127.0.0.9:5007" in caplog.text


def test_a_node_that_moves_with_its_process_is_reached_at_its_new_address(
    dial: Dial, bootstrapper: Bootstrapper
) -> None:
    open_to_all(bootstrapper)
    rendezvous = dial(node("rp", port=5000))
    told(rendezvous, LayoutMessage)
    for ip in ("127.0.0.9", "127.0.0.8"):  # the old connection is not even closed yet
        told(dial(node("n1"), ip), LayoutMessage)
        assert reached(rendezvous) == {"n1": f"{ip}:5007"}


def test_a_node_that_is_elsewhere_says_anew_who_it_is_when_the_layout_is_open_no_more(
    dial: Dial, bootstrapper: Bootstrapper
) -> None:
    open_to_all(bootstrapper)
    rendezvous = dial(node("rp", port=5000))
    told(rendezvous, LayoutMessage)
    moved = dial(node("n1"), "127.0.0.9")
    told(moved, LayoutMessage)
    assert reached(rendezvous) == {"n1": "127.0.0.9:5007"}
    open_to_all(bootstrapper, is_open=False)
    assert reached(rendezvous) == {"n1": "127.0.0.2:5000"}
    with pytest.raises(PeerGone):
        moved.receive(10)


def test_who_asks_again_and_again_is_answered_now_and_then(dial: Dial) -> None:
    newcomer = dial(node("lab-1"))
    told(newcomer, LayoutMessage)
    for _ in range(20):
        newcomer.send(Seek())
    told(newcomer, Offer)
    with pytest.raises(TimeoutError):
        newcomer.receive(ASK_PAUSE / 2)


def test_a_newcomer_s_name_is_not_given_to_a_second_process_while_the_first_one_answers(dial: Dial) -> None:
    first = dial(node("lab-1"))
    told(first, LayoutMessage)
    second = dial(node("lab-1", instance=b"j" * 16))
    first.receive(10)  # the probe
    first.send(Health(1))
    assert "mcast-node runs here already, as 'lab-1'" in told(second, Refused).text


def test_a_newcomer_comes_back_under_its_name_when_its_old_process_says_nothing(dial: Dial) -> None:
    told(dial(node("lab-1")), LayoutMessage)
    again = dial(node("lab-1", "rp", port=5008, instance=b"j" * 16))
    place = told(again, LayoutMessage)
    assert (place.address, [each.name for each in place.neighbours]) == ("127.0.0.1:5008", ["rp"])


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            node("lax-1"),
            "campus.toml does not name 'lax-1', and is open to lab-*: neither 127.0.0.1 nor the name",
        ),
        (node("lab-1", port=0), "start it with --address HOST:PORT, so that others know where it listens"),
    ],
)
def test_who_may_not_join_is_told_why(dial: Dial, said: Register, why: str) -> None:
    assert why in told(dial(said), Refused).text


def test_a_node_that_the_file_names_no_more_is_told_to_leave_in_order(
    dial: Dial, bootstrapper: Bootstrapper
) -> None:
    node_1 = dial(node("n1"))
    told(node_1, LayoutMessage)
    wait_until(lambda: "n1" in bootstrapper.nodes())
    nodes: dict[str, object] = {"rp": {"address": "127.0.0.1:5000"}}
    bootstrapper.change_layout(parse_layout({"rendezvous": "rp", "nodes": nodes}, "campus.toml"))
    refused = told(node_1, Refused)
    assert refused.removed
    assert refused.text == "'n1' is no longer in campus.toml"


def test_clocks_that_jump_end_no_session(
    dial: Dial, bootstrapper: Bootstrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(dial(node("n1")), LayoutMessage)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400)  # the wall clock: nothing here looks at it
    bootstrapper.end_silent_sessions()
    assert "n1" in bootstrapper.nodes()
