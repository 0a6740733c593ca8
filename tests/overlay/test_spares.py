"""Who could feed a content at once, as the neighbours have advertised."""

import pytest

from mcast.overlay import spares as spares_module
from mcast.overlay.actions import NodeParent
from mcast.overlay.branch import Branch
from mcast.overlay.spares import Adverts
from mcast.wire.identity import Identity
from mcast.wire.node import StopReason
from overlay.branches import N4, N5, fed, joining
from overlay.messages import N1, N2, N3, R2, RP, port, stream

NEAR = {"rp": 1.0, "n2": 1.0, "n3": 1.0, "n4": 1.0, "n5": 1.0}


def told(**paths: tuple[Identity, ...]) -> Adverts:
    """Return what neighbours have said of news: each is fed by its path."""
    adverts = Adverts()
    for name, path in paths.items():
        adverts.on_advertised(name, "news", path, fed=True)
    return adverts


def names(adverts: Adverts, branch: Branch, near: dict[str, float] = NEAR) -> list[str]:
    return [parent.name for parent in adverts.spares(branch, near) if isinstance(parent, NodeParent)]


def test_a_neighbour_that_is_fed_by_another_way_is_a_spare() -> None:
    assert names(told(n3=(RP, N4, N3)), fed()) == ["n3"]


def test_neither_the_parent_nor_a_child_nor_who_is_below_this_node_is_a_spare() -> None:
    branch = fed()
    branch.on_asked(stream(R2, sender=N3), 2, 0.5)
    adverts = told(n2=(RP, N2), n3=(RP, N4, N3), n4=(RP, N2, N1, N4))
    assert names(adverts, branch) == []


def test_who_is_not_fed_or_no_neighbour_or_streams_something_else_is_no_spare() -> None:
    adverts = told(n3=(RP, N3))
    assert names(adverts, fed(), {"n4": 1.0}) == []
    adverts.on_advertised("n3", "news", (RP, N3), fed=False)
    adverts.on_advertised("n4", "films", (RP, N4), fed=True)
    assert names(adverts, fed()) == []


def test_who_does_not_hang_below_the_parent_is_better_then_a_short_path_then_a_near_neighbour() -> None:
    far, near = {**NEAR, "n5": 9.0}, {**NEAR, "n4": 9.0}
    adverts = told(n3=(RP, N2, N3), n4=(RP, N4), n5=(RP, N5))
    assert names(adverts, fed(), far) == ["n4", "n5", "n3"]
    assert names(adverts, fed(), near) == ["n5", "n4", "n3"]
    longer = told(n3=(RP, N2, N3), n4=(RP, Identity.node("n9"), N4), n5=(RP, N5))
    assert names(longer, fed()) == ["n5", "n4", "n3"]


def test_who_is_below_a_parent_that_was_lost_has_lost_it_too() -> None:
    branch = fed()
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert names(told(n2=(RP, N2), n3=(RP, N2, N3), n4=(RP, N4)), branch) == ["n4"]


def test_below_a_rendezvous_point_that_was_lost_everybody_is_and_it_may_be_the_link() -> None:
    branch = joining(NodeParent("rp"))
    branch.on_port(1, port(RP), 0.1)
    branch.on_lost(1, StopReason.CUT, "reset", 1.0)
    assert names(told(n3=(RP, N3)), branch) == ["n3"]


def test_siblings_are_not_asked_one_after_another_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares_module, "MAX_SPARES", 2)
    assert names(told(n3=(RP, N3), n4=(RP, N4), n5=(RP, N5)), fed()) == ["n3", "n4"]


def test_a_neighbour_s_word_counts_until_it_takes_it_back_or_is_lost() -> None:
    adverts = told(n3=(RP, N3), n4=(RP, N4))
    adverts.on_advertised("n3", "news", (), fed=False)
    assert adverts.streaming("news", N1) == ["n4"]
    adverts.on_lost("n4")
    adverts.on_lost("a stranger")
    assert adverts.streaming("news", N1) == []


def test_what_is_remembered_of_one_neighbour_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares_module, "MAX_ADVERTS", 1)
    adverts = told(n3=(RP, N3))
    adverts.on_advertised("n3", "films", (RP, N3), fed=True)
    assert adverts.streaming("films", N1) == []
    adverts.on_advertised("n3", "news", (RP, N4, N3), fed=True)
    assert adverts.streaming("news", N4) == []
