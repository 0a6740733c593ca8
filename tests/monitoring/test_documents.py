"""The API's documents: names that stay, figures that are right, and nothing that is not known."""

import json

import pytest

from mcast.monitoring import documents
from mcast.monitoring.documents import Json
from mcast.monitoring.view import View
from mcast.wire.bootstrap import Health
from mcast.wire.content import Readiness
from mcast.wire.health import CataloguePage, ContentHealth
from monitoring.overlays import SCRIPT, SERVERS, MadeUp, Told, large, layout_of, small, stream, viewer

N2 = ("rp", "n1", "n2")
STREAM = {
    "content", "fed", "path", "parents", "child_count", "viewers", "children", "delay_ms", "clock_delay_ms",
    "bit_rate",
    "lost_before_repair_percent", "lost_percent", "received_datagrams", "received_bytes", "missing_datagrams",
    "repaired_datagrams", "nack_sent", "longest_gap_ms", "parent_changes", "discontinuities", "ssrc", "next",
}  # fmt: skip
NODE = {
    "name", "kind", "address", "joined", "up", "program", "uptime_s", "cpu_percent", "memory_bytes",
    "children", "viewers", "beyond", "streams",
}  # fmt: skip


def as_read(document: Json) -> Told:
    told: Told = json.loads(json.dumps(document))
    return told


def test_the_names_in_the_documents_stay() -> None:
    told = as_read(documents.overlay(large(20, 30).view()))
    assert set(told) == {"version", "rendezvous", "nodes", "links", "servers", "contents", "unwatched"}
    assert told["version"] == documents.API_VERSION == 1
    assert {frozenset(node) for node in told["nodes"]} == {frozenset(NODE)}
    streams = [each for node in told["nodes"] for each in node["streams"]]
    assert {frozenset(each) for each in streams} == {frozenset(STREAM)}
    assert set(streams[0]["parents"][0]) == {"name", "server", "primary", "round_trip_ms", "new_datagrams"}
    children = [child for each in streams for child in each["children"]]
    assert set(children[0]) == {"name", "viewer", "round_trip_ms", "delay_ms", "clock_delay_ms"}
    measured = {"delay_us", "latency_us", "jitter_us", "metric"}
    assert set(told["servers"][0]) == {"address", "up", "serves"} | measured
    names = {"name", "server", "nodes", "cut_nodes", "viewers", "bit_rate", "depth"}
    assert set(told["contents"][0]) == names


def test_contents_that_nobody_watches_are_named(overlay: MadeUp) -> None:
    assert documents.overlay(overlay.view())["unwatched"] == []
    overlay.list_contents("news", "archive", "films")
    assert documents.overlay(overlay.view())["unwatched"] == ["archive", "films"]


def test_all_contents_are_listed_whether_streamed_or_not(overlay: MadeUp) -> None:
    told = ContentHealth(
        "archive", "h264, aac", 12_000, 5_000_000, 1920, 1080, True, bytes(range(8)), Readiness.READY, SERVERS
    )
    page = CataloguePage(contents=(told, ContentHealth("news")))
    overlay.registry.heard("rp", Health(60_000, overlay.streams("rp"), catalogue=page), overlay.now)
    archive, news, nasty = sorted(
        as_read({"contents": documents.catalogue(overlay.view())})["contents"],
        key=lambda each: "<" in each["name"],
    )
    assert archive == {
        "name": "archive", "streaming": False, "server": None, "nodes": 0, "cut_nodes": 0, "viewers": 0,
        "bit_rate": 0, "depth": 0, "format": "h264, aac", "duration_s": 12.0, "listed_bit_rate": 5_000_000,
        "width": 1920, "height": 1080, "loop": True, "digest": "0001020304050607", "readiness": "ready",
        "servers": list(SERVERS),
    }  # fmt: skip
    assert (news["name"], news["streaming"], news["viewers"], news["server"]) == ("news", True, 2, SERVERS[0])
    assert (news["format"], news["loop"], news["readiness"]) == (None, False, "ready")
    assert (nasty["name"], nasty["streaming"], nasty["readiness"], nasty["servers"]) == (
        SCRIPT,
        True,
        None,
        [],
    )
    assert set(archive) == set(news) == set(nasty)


def test_delays_are_half_the_round_trips_from_the_server_down_to_each_viewer(overlay: MadeUp) -> None:
    view = overlay.view()
    assert [view.delay_ms(name, "news") for name in ("rp", "n1", "n2")] == [1.0, 2.0, 3.0]
    n2 = as_read(documents.node(view, "n2"))
    (news,) = n2["streams"]
    assert [child["delay_ms"] for child in news["children"]] == [5.0, 5.0]


def test_delays_by_clocks_are_told_as_they_were_measured_beside_those_by_round_trips() -> None:
    overlay = small()
    viewers = (viewer(1), viewer(2))
    overlay.report("n2", stream("news", N2, viewers, delay_us=3_500, delays_us=(5_250, 6_000)))
    (news,) = as_read(documents.node(overlay.view(), "n2"))["streams"]
    assert (news["delay_ms"], news["clock_delay_ms"]) == (3.0, 3.5)
    children = [(each["delay_ms"], each["clock_delay_ms"]) for each in news["children"]]
    assert children == [(5.0, 5.25), (5.0, 6.0)]


@pytest.mark.parametrize(
    ("told", "shown"),
    [(0, None), (-800, 0.0), (-7_000, None), (2_005_000, 2005.0), (2_007_000, None), (-(1 << 31), None)],
    ids=["unknown", "as good as none", "below nothing", "long", "longer than ways allow", "the least"],
)
def test_a_delay_that_only_clocks_that_differ_explain_is_not_shown(told: int, shown: float | None) -> None:
    overlay = small()
    overlay.report("n2", stream("news", N2, delay_us=told))
    (news,) = as_read(documents.node(overlay.view(), "n2"))["streams"]
    assert (news["delay_ms"], news["clock_delay_ms"]) == (3.0, shown)


def test_a_delay_by_way_of_a_node_that_has_not_reported_is_not_known(overlay: MadeUp) -> None:
    overlay.leave("n1")
    assert overlay.view().delay_ms("n2", "news") is None


def test_reports_that_contradict_each_other_for_a_moment_lead_into_no_circle() -> None:
    overlay = MadeUp(layout_of({"rp": ["a", "b"], "a": ["b"], "b": []}))
    overlay.report("a", stream("news", ("rp", "b", "a")))
    overlay.report("b", stream("news", ("rp", "a", "b")))
    assert overlay.view().delay_ms("a", "news") is None


def test_contents_tell_how_many_watch_and_where_they_come_from(overlay: MadeUp) -> None:
    overlay.report("n2", stream("news", ("rp", "n1", "n2"), (viewer(1),), fed=False, count=70))
    nasty, news = documents.contents(overlay.view())
    assert (news["name"], news["server"], news["nodes"], news["depth"]) == ("news", SERVERS[0], 3, 3)
    assert (news["viewers"], news["cut_nodes"]) == (70, 1)
    assert (nasty["name"], nasty["server"], nasty["viewers"]) == (SCRIPT, SERVERS[1], 1)


def test_a_node_that_is_down_is_there_without_figures(overlay: MadeUp) -> None:
    overlay.leave("n3")
    told = documents.node(overlay.view(), "n3")
    assert (told["up"], "streams" in told) == (False, False)


def test_servers_are_told_as_the_rendezvous_point_that_serves_measures_them(overlay: MadeUp) -> None:
    first, second = documents.servers(overlay.view())
    assert (first["address"], first["latency_us"], first["serves"]) == (SERVERS[0], 500, ["news"])
    assert second["serves"] == [SCRIPT]
    overlay.leave("rp")
    first, _ = documents.servers(overlay.view())
    assert (first["up"], first["latency_us"], first["serves"]) == (False, None, [])


def test_each_link_of_the_layout_is_there_once(overlay: MadeUp) -> None:
    assert documents.links(overlay.view()) == [["n1", "n2"], ["n1", "rp"], ["n2", "n3"], ["n3", "rp"]]


def test_an_overlay_in_which_nobody_is_up_is_shown_too(overlay: MadeUp) -> None:
    told = documents.overlay(View(overlay.layout, {}))
    assert (told["contents"], len(documents.servers(View(overlay.layout, {})))) == ([], 2)


def test_an_old_node_that_tells_its_path_alone_is_shown(overlay: MadeUp) -> None:
    old = stream("news", ("rp", "n1"))
    overlay.report("n1", type(old)(old.content, old.path, (viewer(5),), old.position))
    (told,) = as_read(documents.node(overlay.view(), "n1"))["streams"]
    assert (told["child_count"], told["parents"], told["delay_ms"]) == (1, [], None)
