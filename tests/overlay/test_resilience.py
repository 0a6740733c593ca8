"""Whole overlays in which things fail: what it costs the viewers, and what must never happen."""

import shlex
from collections.abc import Iterable
from itertools import combinations
from statistics import median

import pytest

from mcast.overlay import actions as do
from mcast.overlay.events import ControlSilent, DiscReceived
from mcast.overlay.search import STAMPEDE_JITTER
from mcast.overlay.table import State
from mcast.wire.node import StopReason
from overlay import resilience, simulation
from overlay.effort import TIMEOUT, seeds
from overlay.sim_watchdog import LOOP_SECONDS, Watchdog
from overlay.simulation import Network

pytestmark = pytest.mark.timeout(TIMEOUT)

DIAMOND = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]
ROUND_TRIP = 0.02
"""Seconds between two neighbours there and back, on average: a message takes up to that."""


def watching(links: Iterable[tuple[str, str]], *neighbours: str, seed: int = 0, **options: object) -> Network:
    """Return a network in which a viewer at each of these nodes watches."""
    net = Network(links, media=True, records=True, seed=seed, **options)  # type: ignore[arg-type]
    for name in neighbours:
        net.client(name)
    net.run(2)
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    net.check_media()
    return net


def parent(net: Network, name: str) -> str:
    branch = net.branch(name)
    assert branch is not None
    return str(branch.path[-2])


def gaps(net: Network, name: str) -> list[float]:
    """Return for how many seconds a node was without media, each time that it found another parent."""
    taken = net.said("parent_taken")
    return [float(str(fields["gap_ms"])) / 1000 for _, who, fields in taken if who == name]


def unharmed(net: Network) -> None:
    """Nothing is missing, nobody has gone, all is as it should be."""
    assert {viewer.state for viewer in net.viewers} == {"watching"}
    assert sum(viewer.lost() for viewer in net.viewers) == 0
    net.settle(5)
    net.check_trees()
    net.check_media()


# Whatever happens


@pytest.mark.parametrize("seed", seeds(3))
def test_who_has_a_way_is_fed_again_and_nothing_loops_whatever_fails(seed: int) -> None:
    assert resilience.played("churn", seed, nodes=10 + seed * 13 % 50).lost == 0


@pytest.mark.parametrize("seed", seeds(1))
def test_the_same_holds_where_who_has_no_way_is_offered_others(seed: int) -> None:
    assert resilience.played("churn", seed, nodes=16, offers=True).lost == 0


@pytest.mark.parametrize("seed", seeds(1))
def test_the_same_holds_while_messages_and_datagrams_are_lost(seed: int) -> None:
    assert resilience.played("churn", seed, nodes=16, loss=True).lost == 0


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(
    "options",
    [{}, {"offers": True}, {"live": True}, {"standbys": 1, "parents": 2}],
    ids=lambda options: " ".join(options) or "plain",
)
def test_the_same_holds_where_links_fail_one_way_servers_hang_and_the_layout_changes(
    options: dict[str, int], seed: int
) -> None:
    assert resilience.played("churn", seed, nodes=8, mixed=True, **options).lost == 0


@pytest.mark.parametrize("seed", seeds(1))
def test_nodes_that_crash_all_the_time_cost_their_viewers_no_number(seed: int) -> None:
    assert resilience.played("resilience", seed, nodes=40, seconds=6.0).lost == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("churn", {"nodes": 8, "loss": True, "offers": True, "standbys": 1, "parents": 2}),
        ("resilience", {"nodes": 8, "seconds": 1.0, "share": 0.2}),
    ],
)
def test_a_trial_that_fails_is_seen_again_by_what_its_note_says(
    name: str, options: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: list[list[str]] = []

    def not_well(net: Network, **_: int) -> None:
        lives.append([*net.timeline(), str(net.now), str(net.policy)])
        raise AssertionError("not well")

    monkeypatch.setattr(resilience, "_check_all_is_well", not_well)
    with pytest.raises(AssertionError) as caught:
        resilience.played(name, 5, **options)
    (note,) = caught.value.__notes__
    assert simulation.main(shlex.split(note.partition("overlay.simulation ")[2])) == 1
    assert lives[0] == lives[1]
    assert simulation.main([name, "--seed", "5", "--nodes", "8"]) == 1
    assert lives[0] != lives[2], "without the other options it is another life"


def test_an_option_that_a_run_does_not_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        simulation.main(["crowd", "--seed", "1", "--parents", "2"])
    assert "crowd has no --parents" in capsys.readouterr().err


def test_the_command_prints_what_repairs_have_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation.main(["resilience", "--nodes", "12", "--seed", "3"]) == 0
    assert " repairs, " in capsys.readouterr().out


# TCP alone dies


def test_silent_control_connections_are_renewed_without_a_gap_and_leave_one_copy() -> None:
    for seed in seeds(4):
        net = watching([("rp", "n1"), ("n1", "n2")], "n2", seed=seed)
        (viewer,) = net.viewers
        before = {node.name: next(iter(node.upstreams)) for node in net.all_nodes()}
        for node in net.all_nodes():
            node.handle(ControlSilent(before[node.name]))
        net.run(4)
        assert {name for _, name, _ in net.said("control_renewed")} == set(before)
        for node in net.all_nodes():
            assert before[node.name] not in node.upstreams
        assert net.said("cut") == net.said("parent_lost") == net.said("parent_taken") == []
        assert viewer.longest_gap < 0.2
        unharmed(net)


# A relay is killed


def test_with_a_spare_known_media_comes_again_after_four_round_trips_and_nothing_is_missing() -> None:
    after: list[float] = []
    for seed in seeds(10):
        net = watching(DIAMOND, "n1", "n2", seed=seed)
        viewer = net.client("n3")
        net.run(2)
        net.kill(parent(net, "n3"))
        net.run(0.4)
        (gap,) = gaps(net, "n3")
        after.append(gap / ROUND_TRIP)
        assert (viewer.lost(), parent(net, "n3")) == (0, str(viewer.path[-3]))
        assert viewer.longest_gap < 0.2
    # STREAM, PORT, a hello and the first datagram; a message takes half a round trip on average.
    assert median(after) <= 4
    assert max(after) <= 8


def test_without_a_spare_a_flood_finds_another_parent_before_the_viewer_s_buffer_is_empty() -> None:
    links = [("rp", "n1"), ("rp", "n2"), ("n1", "n3"), ("n2", "n3")]
    for seed in seeds(4):
        net = watching(links, "n3", seed=seed)
        net.kill(parent(net, "n3"))
        net.run(1)
        assert max(gaps(net, "n3")) < 0.3
        (viewer,) = net.viewers
        assert viewer.longest_gap < 0.4
        unharmed(net)


def test_only_the_node_right_below_the_failure_repairs_and_those_further_down_learn_the_new_path() -> None:
    net = watching([*DIAMOND, ("n3", "n4"), ("n4", "n5")], "n5", "n1", "n2")
    net.kill(parent(net, "n3"))
    net.run(1)
    assert {name for _, name, _ in net.said("parent_taken") if name in net.nodes} == {"n3"}
    (viewer, *_) = net.viewers
    assert [str(each) for each in viewer.path[1:-1]] == [parent(net, "n3"), "n3", "n4", "n5"]
    assert viewer.lost() == 0


def test_a_client_with_one_neighbour_survives_it() -> None:
    net = watching([*DIAMOND, ("n1", "n2")], "n1", "n3")
    net.run(3)  # so that its parent has named others
    net.kill("n1")
    net.run(2)
    for viewer in net.viewers:
        assert (viewer.state, viewer.lost()) == ("watching", 0)


def test_a_client_with_two_neighbours_survives_one() -> None:
    net = Network(DIAMOND, media=True)
    viewer = net.client("n1", "n2")
    net.run(2)
    net.kill(str(viewer.path[-2]))
    net.run(1)
    assert (viewer.state, viewer.lost()) == ("watching", 0)
    assert viewer.longest_gap < 0.4


# A parent falls silent


@pytest.mark.parametrize("how", ["freeze", "cut", "cut media"])
def test_a_silent_failure_is_found_within_300_ms_and_after_it_all_is_as_before(how: str) -> None:
    for seed in seeds(2):
        net = watching(DIAMOND, "n3", "n1", "n2", seed=seed)
        first = parent(net, "n3")
        if how == "freeze":
            net.freeze(first)
        else:
            net.world.cut(first, "n3", control=how == "cut")
        net.run(1)
        (viewer, *_) = net.viewers
        assert parent(net, "n3") != first
        assert (viewer.lost(), viewer.longest_gap < 0.35) == (0, True)
        net.thaw(first)
        net.world.mend(first, "n3")
        net.run(5)
        unharmed(net)


def test_a_hiccup_of_a_parent_tears_no_tree() -> None:
    net = watching(DIAMOND, "n3", "n1", "n2")
    first = parent(net, "n3")
    net.freeze(first)
    net.at(0.2, lambda: net.thaw(first))
    net.run(4)
    assert net.said("cut") == net.said("parent_lost") == []
    unharmed(net)


# Bad luck


def test_a_spare_that_dies_at_the_same_moment_costs_a_round_trip_more() -> None:
    links = [("rp", name) for name in ("n1", "n2", "n4")] + [(name, "n3") for name in ("n1", "n2", "n4")]
    net = watching(links, "n3", "n1", "n2", "n4")
    doomed = [parent(net, "n3"), *(n for n in ("n1", "n2", "n4") if n != parent(net, "n3"))][:2]
    for name in doomed:
        net.kill(name)
    net.run(1)
    (viewer, *_) = net.viewers
    assert viewer.lost() == 0
    assert viewer.longest_gap < 0.35


def test_a_spare_that_freezes_at_the_same_moment_is_asked_in_vain_for_150_ms() -> None:
    links = [("rp", name) for name in ("n1", "n2", "n4")] + [(name, "n3") for name in ("n1", "n2", "n4")]
    for seed in seeds(3):
        net = watching(links, "n3", "n1", "n2", "n4", seed=seed)
        others = [name for name in ("n1", "n2", "n4") if name != parent(net, "n3")]
        net.freeze(others[0])
        net.kill(parent(net, "n3"))
        net.run(1)
        (viewer, *_) = net.viewers
        assert viewer.lost() == 0
        assert viewer.longest_gap < 0.45


def test_a_parent_that_accepts_and_never_sends_is_left_for_one_that_does() -> None:
    links = [("rp", name) for name in ("n1", "n2", "n4")] + [(name, "n3") for name in ("n1", "n2", "n4")]
    net = watching(links, "n3", "n1", "n2", "n4")
    mute = next(name for name in ("n1", "n2", "n4") if name != parent(net, "n3"))
    net.world.cut(mute, "n3", control=False)
    net.kill(parent(net, "n3"))
    net.run(3)
    (viewer, *_) = net.viewers
    assert (viewer.state, viewer.lost()) == ("watching", 0)
    assert viewer.longest_gap < 0.5  # in time for a viewer's buffer


def test_mutual_spares_do_not_wait_for_each_other() -> None:
    """Two below one parent know each other as a spare; when it dies neither takes the other in for good."""
    links = [("rp", "n1"), ("n1", "n2"), ("n1", "n3"), ("n2", "n3"), ("n3", "n4"), ("rp", "n4")]
    for seed in seeds(4):
        net = watching(links, "n2", "n3", seed=seed)
        Watchdog(net)
        net.kill("n1")
        net.run(2)
        unharmed(net)


def test_two_that_repair_at_the_same_moment_never_end_in_each_other_s_subtree() -> None:
    names = ["n1", "n2", "n3", "n4", "n5"]
    links = [*combinations(names, 2), ("rp", "n1"), ("rp", "n2")]
    for seed in seeds(4):
        net = watching(links, "n3", "n4", "n5", seed=seed)
        Watchdog(net)
        top = [name for name in ("n1", "n2") if net.branch(name) is not None]
        for name in top[:1]:
            net.world.cut("rp", name)
        net.run(LOOP_SECONDS + 1)
        net.world.cut("rp", "n2" if top[0] == "n1" else "n1")
        net.run(3)  # nobody has a way: nobody may believe that he has
        fed = [name for name in names if (branch := net.branch(name)) and branch.state is State.FED]
        assert fed == []


def test_many_siblings_that_lose_one_parent_are_no_stampede() -> None:
    """All notice at the same moment, and none knows a spare parent: they flood one after another."""
    siblings = [f"s{number}" for number in range(20)]
    links = [("rp", "n1"), ("rp", "n2"), *((above, name) for name in siblings for above in ("n1", "n2"))]
    net = Network(links, media=True, records=True, steady=True)
    for link in links:
        net.world.link(*link).media_delay = 0.01
    net.kill("n2")  # so that all are fed by n1
    for name in siblings:
        net.client(name)
    net.run(2)
    net.start("n2")
    net.run(3)
    net.kill("n1")
    killed = net.now
    net.run(1.5)
    unharmed(net)
    floods = {name: own_floods(net, name, killed) for name in siblings}
    assert sum(len(begun) for begun in floods.values()) <= 2 * len(siblings)
    first = [begun[0] for begun in floods.values()]
    assert max(first) - min(first) > STAMPEDE_JITTER / 2, "not all at one moment"


def own_floods(net: Network, name: str, since: float) -> list[float]:
    """Return when a node has begun to flood, but for what it has handed on for others."""
    begun: dict[bytes, float] = {}
    for at, event, actions in net.nodes[name].steps:
        if at > since and not isinstance(event, DiscReceived):
            begun.update((a.disc.request, at) for a in actions if isinstance(a, do.Ask))
    return list(begun.values())


# Several contents


def test_all_contents_of_a_node_are_repaired_side_by_side() -> None:
    net = Network(DIAMOND, media=True, contents=("news", "films"), seed=1)  # in which n2 joins by rp
    net.kill("n2")  # so that both come by n1
    for content in net.contents:
        net.client("n3", content=content)
    net.run(2)
    net.start("n2")
    for content in net.contents:
        net.client("n2", content=content)
    net.run(3)
    net.kill("n1")
    killed = net.now
    net.run(2)
    taken = {str(fields["content"]): at - killed for at, name, fields in net.said("parent_taken")
             if name == "n3"}  # fmt: skip
    assert set(taken) == {"news", "films"}
    assert max(taken.values()) < 0.3
    unharmed(net)


# Somebody leaves, a server fails


def test_a_node_that_leaves_hands_its_children_over_and_nobody_sees_a_gap() -> None:
    for seed in seeds(3):
        net = watching([*DIAMOND, ("n1", "n2")], "n3", "n1", "n2", seed=seed)
        leaving = parent(net, "n3")
        net.nodes[leaving].stop()
        net.run(1.5)
        assert not net.nodes[leaving].alive
        for viewer in net.viewers:
            assert (viewer.state, viewer.lost()) == ("watching", 0), viewer
            assert viewer.longest_gap < 0.1
        assert net.said("cut") == []


def test_a_node_that_leaves_and_whose_children_have_no_other_way_is_gone_after_a_second() -> None:
    net = watching([("rp", "n1"), ("n1", "n2")], "n2")
    net.nodes["n1"].stop()
    net.run(1)
    assert not net.nodes["n1"].alive
    net.start("n1")
    net.run(2)
    (viewer,) = net.viewers
    assert (viewer.state, viewer.lost()) == ("watching", 0)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_server_that_fails_is_replaced_by_one_that_has_the_same_bytes(how: str) -> None:
    net = watching([("rp", "n1")], "n1", servers=("s1", "s2"))
    ((_, _, fields),) = net.said("serves")
    serving = str(fields["server"])
    (net.kill if how == "kill" else net.freeze)(serving)
    net.run(2)
    (viewer,) = net.viewers
    assert (viewer.state, viewer.lost(), len(viewer.received)) == ("watching", 0, 1)
    assert viewer.longest_gap < 0.6
    net.check_trees()


def test_a_server_without_another_is_waited_for() -> None:
    net = watching([("rp", "n1"), ("n1", "n2")], "n2")
    net.freeze("s1")
    net.run(4)
    net.thaw("s1")
    net.run(2)
    (viewer,) = net.viewers
    assert (viewer.state, viewer.lost()) == ("watching", 0)
    net.check_trees()


def test_who_finds_nobody_gives_up_after_ten_seconds_and_leaves_nothing_behind() -> None:
    net = watching([("rp", "n1"), ("n1", "n2"), ("n2", "n3")], "n3")
    net.kill("rp")
    net.run(13)
    (viewer,) = net.viewers
    assert viewer.state == "over"
    assert viewer.stop is not None
    assert viewer.stop.reason is StopReason.CUT
    net.run(4)
    assert all(node.core.is_idle for node in net.all_nodes())


def test_a_viewer_that_watched_on_has_knows_its_new_path() -> None:
    net = watching(DIAMOND, "n3", "n1", "n2")
    (viewer, *_) = net.viewers
    before = viewer.path
    net.kill(parent(net, "n3"))
    net.run(1)
    assert (viewer.path[0], viewer.path[-1]) == (before[0], before[-1])
    assert viewer.path != before
    assert not viewer.is_cut


# What is told of it


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("how", ["kill", "freeze", "cut"])
def test_the_log_tells_each_loss_once_and_the_gap_is_the_one_that_a_viewer_saw(
    how: str, streams: bool
) -> None:
    for seed in seeds(2):
        net = watching(DIAMOND, "n3", *(["n1", "n2"] if streams else []), seed=seed)
        (viewer, *_), lost = net.viewers, parent(net, "n3")
        if how == "cut":
            net.world.cut(lost, "n3")
        else:
            getattr(net, how)(lost)
        net.run(4)
        ((_, _, told),) = [each for each in net.said("parent_lost") if each[1] == "n3"]
        causes = {
            "kill": ("cut closed by the peer", "cut connection reset", "refused"),
            "freeze": ("silent",),
        }
        assert told["parent"] == lost
        assert told["cause"] in causes.get(how, ("silent",))
        if how != "kill":
            assert float(str(told["after_ms"])) >= 300
        (gap,) = gaps(net, "n3")
        assert abs(gap - viewer.longest_gap) < 0.03


def test_a_node_that_moves_for_another_reason_than_a_failure_has_had_no_gap() -> None:
    net = watching(DIAMOND, "n3", "n1", "n2")
    net.nodes[parent(net, "n3")].stop()
    net.run(2)
    assert gaps(net, "n3") == [0.0]
