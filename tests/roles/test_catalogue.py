"""The contents of a rendezvous point's servers, as the bootstrapper gets to know them page by page."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mcast.monitoring.registry import NodeStatus
from mcast.roles.node.catalogue import LEAST_PAUSE, CatalogueReporter
from mcast.wire.bootstrap import Health
from mcast.wire.content import ContentInfo, Readiness
from mcast.wire.health import CataloguePage, ContentHealth

NAMES = st.sets(st.text("abcdefgh", min_size=1, max_size=4), max_size=30)


class Servers:
    """What the servers have, by name; two have everything."""

    def __init__(self, *names: str) -> None:
        self.contents = {name: ContentInfo(name, format="h264 " * 40, digest=bytes(32)) for name in names}
        self.changes = 1
        self.reporter = CatalogueReporter(self.behind, lambda: self.changes)

    def behind(self, after: str) -> Iterator[tuple[ContentInfo, tuple[str, ...]]]:
        for name in sorted(self.contents):
            if name > after:
                yield self.contents[name], ("10.0.0.1:7000", "10.0.0.2:7000")

    def round(self, now: float, room: int = 300) -> list[CataloguePage]:
        """Return the pages of a round."""
        pages: list[CataloguePage] = []
        while (page := self.reporter.page(room, now)) is not None:
            pages.append(page)
        return pages


def test_where_there_are_no_servers_nothing_is_told() -> None:
    servers = Servers()
    servers.changes = 0
    assert servers.round(1000.0) == []


def test_a_page_holds_what_there_is_room_for_and_one_content_at_least() -> None:
    pages = Servers("a", "b", "c", "d", "e").round(0.0)
    assert [[each.name for each in page.contents] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [(page.after, page.more) for page in pages] == [("", True), ("b", True), ("d", False)]
    assert len(Servers("a", "b").round(0.0, room=1)) == 2


def test_a_round_begins_when_a_list_has_changed_and_for_who_knows_nothing() -> None:
    servers = Servers("a")
    assert servers.round(0.0)
    assert not servers.round(1000.0)
    servers.changes += 1
    assert servers.round(1000.0)
    servers.changes += 1
    assert not servers.round(1000.0 + LEAST_PAUSE - 0.1)
    assert servers.round(1000.0 + LEAST_PAUSE)
    servers.reporter.begin_anew()
    assert servers.round(1000.0 + LEAST_PAUSE)


def test_a_round_that_somebody_has_heard_half_of_is_begun_again_for_another_one() -> None:
    servers = Servers("a", "b", "c", "d", "e")
    assert servers.reporter.page(300, 0.0)
    servers.reporter.begin_anew()
    assert [each.name for each in servers.round(0.1)[0].contents] == ["a", "b"]


def test_what_is_told_of_a_content_is_bounded() -> None:
    servers = Servers()
    servers.contents = {"a": ContentInfo("a", "f" * 1000, 12_000, 5_000_000, 25_000, 1920, 1080, True,
                                         bytes(range(32)), readiness=Readiness.PREPARING)}  # fmt: skip
    ((told,),) = (page.contents for page in servers.round(0.0))
    addresses = ("10.0.0.1:7000", "10.0.0.2:7000")
    assert told == ContentHealth("a", "f" * 60, 12_000, 5_000_000, 1920, 1080, True, bytes(range(8)),
                                 Readiness.PREPARING, addresses)  # fmt: skip


@given(NAMES, NAMES, st.integers(1, 3_000), st.integers(0, 5))
def test_whatever_changes_the_bootstrapper_knows_what_there_is_after_a_whole_round(
    before: set[str], then: set[str], room: int, seen: int
) -> None:
    status = NodeStatus("rp", b"", "", 0.0, 0.0)
    servers = Servers(*before)
    for page in servers.round(0.0, room)[:seen]:  # some pages of it
        status.take(Health(0, catalogue=page), 0.0)
    servers.contents = Servers(*then).contents
    servers.changes += 1
    for page in servers.round(LEAST_PAUSE, room):
        status.take(Health(0, catalogue=page), 1.0)
    assert list(status.catalogue) == sorted(then)
