"""Nodes that tell each other what they stream, and their clients whom else they may ask."""

from dataclasses import replace

import pytest

from helpers import PATIENCE, wait_until
from mcast.hostport import HostPort
from mcast.net.connection import Connection, connect
from mcast.roles.node.program import NodeProgram
from mcast.wire.endpoint import Endpoint
from mcast.wire.identity import Identity
from mcast.wire.node import Advert, Port, Watch
from roles.overlay_parts import Contents, World, layout_of
from roles.partners import N1, N2, RP, read


def watching(node: NodeProgram, sender: Identity = N2) -> Connection:
    connection = connect(node.address, PATIENCE)
    connection.send(Watch(sender=sender))
    return connection


def endpoint(address: HostPort) -> Endpoint:
    return Endpoint.of(address.host, address.port)


def told(connection: Connection, advert: Advert) -> None:
    """Read until this is told, with however many viewers."""
    while replace(read(connection, Advert), viewers=0) != advert:
        pass


def test_a_neighbour_hears_what_comes_and_goes(world: World) -> None:
    _rp, n1 = world.line(Contents("news"))
    with watching(n1) as connection:
        told(connection, Advert(distance=1, takes_clients=True))
        viewer = world.viewer(n1, "news").watch()
        told(connection, Advert(content="news", path=(RP, N1), fed=True))
        viewer.leave()
        told(connection, Advert(content="news"))


def test_one_that_watches_later_hears_all_there_is(world: World) -> None:
    rp, n1 = world.line(Contents("news"))
    world.viewer(n1, "news").watch()
    with watching(rp) as connection:
        told(connection, Advert(distance=0, takes_clients=True))
        told(connection, Advert(content="news", path=(RP,), fed=True))


def test_a_node_that_is_about_to_end_is_no_spare_any_more(world: World) -> None:
    _rp, n1 = world.line(Contents("news"))
    world.viewer(n1, "news").watch()
    with watching(n1) as connection:
        told(connection, Advert(content="news", path=(RP, N1), fed=True))
        world.end(n1)
        told(connection, Advert(content="news", path=(RP, N1), fed=False))


def test_a_client_is_told_where_else_to_ask_and_again_when_that_changes(world: World) -> None:
    rp, n1 = world.line(Contents("news"))
    viewer = world.viewer(n1, "news")
    port = viewer.join_somehow()
    viewer.receive(port)
    while port.further != (endpoint(rp.address),):
        port = viewer.next(Port)
    n2 = world.node("n2", rp=rp, n1=n1)
    n1.update(layout_of("n1", rp=str(rp.address), n2=str(n2.address)))
    while set(port.further) != {endpoint(rp.address), endpoint(n2.address)}:
        port = viewer.next(Port)
    world.end(n2)
    while port.further != (endpoint(rp.address),):
        port = viewer.next(Port)


def test_a_node_that_is_a_spare_is_taken_without_a_search(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """n3 hangs below n1; n2 streams the content, too: when n1 goes, one STREAM is all that is needed."""
    caplog.set_level("DEBUG", "mcast.peer.decider")
    rp, n1 = world.line(Contents("news"))
    n2 = world.node("n2", rp=rp)
    n3 = world.node("n3", n1=n1)
    viewer = world.viewer(n3, "news").watch()
    world.viewer(n2, "news").watch()
    n3.update(layout_of("n3", n1=str(n1.address), n2=str(n2.address)))
    wait_until(lambda: "< Advertised(neighbour='n2', content='news', path=[rp, n2], fed=True" in caplog.text)
    before = len(caplog.messages)
    world.end(n1)
    while (port := viewer.next(Port)).path[1] != N2:
        pass
    assert port.path == (RP, N2, Identity.node("n3"))
    asked = [each for each in caplog.messages[before:] if each.startswith("> Ask(")]
    assert asked == []
