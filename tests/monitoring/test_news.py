"""What open pages are told, and when."""

import json
from collections.abc import Iterator

import pytest

from helpers import Recorder
from mcast.monitoring import documents
from mcast.monitoring.documents import Json
from mcast.monitoring.events import EventStore
from mcast.monitoring.news import News
from mcast.monitoring.view import View
from mcast.wire.health import EventReport
from monitoring.overlays import MadeUp, Told, layout_of, stream


@pytest.fixture
def news(overlay: MadeUp, events: EventStore, crash: Recorder) -> News:
    """News whose thread the test does not start: it looks itself."""
    news = News(overlay.view, events, crash)
    news.look()
    return news


def next_event(pieces: Iterator[bytes]) -> tuple[str, Told]:
    """Return the next event's kind and data."""
    piece = next(each for each in pieces if each).removeprefix(b"retry: 500\n\n")
    kind, data = piece.decode().split("\n")[:2]
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_page_is_told_everything_first(news: News, events: EventStore) -> None:
    kind, told = next_event(iter(news.stream()))
    assert (kind, len(told["nodes"]), told["epoch"]) == ("overlay", 4, events.epoch)


def test_then_only_the_nodes_that_are_otherwise_than_before(news: News, overlay: MadeUp) -> None:
    pieces = iter(news.stream())
    next_event(pieces)
    overlay.report("n2", stream("news", ("rp", "n1", "n2"), datagrams=2000))
    overlay.leave("n3")
    news.look()
    kind, told = next_event(pieces)
    assert (kind, [node["name"] for node in told["nodes"]]) == ("changes", ["n2", "n3"])
    assert [each["up"] for each in told["nodes"]] == [True, False]


def test_contents_that_nobody_watches_are_told_when_they_are_others(news: News, overlay: MadeUp) -> None:
    pieces = iter(news.stream())
    assert next_event(pieces)[1]["unwatched"] == []
    overlay.list_contents("news", "films")
    news.look()
    assert next_event(pieces)[1]["unwatched"] == ["films"]
    overlay.list_contents("news", "films")
    news.look()
    assert "unwatched" not in next_event(pieces)[1]


def test_nothing_is_told_when_nothing_has_changed(news: News) -> None:
    pieces = iter(news.stream())
    next_event(pieces)
    news.look()
    assert next(pieces) == b""


def test_who_reports_while_news_are_told_is_told_of_at_the_next_look(
    news: News, overlay: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    news.stream()
    told = documents.servers

    def meanwhile(view: View) -> list[Json]:
        overlay.report("n2", stream("news", ("rp", "n3", "n2"), datagrams=2001))
        return told(view)

    overlay.report("n2", stream("news", ("rp", "n1", "n2"), datagrams=2000))
    with monkeypatch.context() as patched:
        patched.setattr(documents, "servers", meanwhile)
        news.look()
    assert "next 1" in repr(news)
    news.look()
    assert "next 2" in repr(news)
    news.look()
    assert "next 2" in repr(news)


def test_events_are_told_one_by_one(news: News, events: EventStore) -> None:
    pieces = iter(news.stream())
    next_event(pieces)
    events.add("n1", [EventReport("cut", "it is cut off")])
    news.look()
    kind, told = next_event(pieces)
    assert (kind, told["event"], told["number"]) == ("happened", "cut", 1)


def test_nothing_is_made_up_as_long_as_no_page_is_open(
    news: News, overlay: MadeUp, events: EventStore
) -> None:
    news.stream().close()
    overlay.leave("n1")
    events.add("n1", [EventReport("cut", "it is cut off")])
    news.look()
    assert "next 0" in repr(news)  # nothing was put into its ring


def test_after_a_change_of_the_layout_everything_is_told_anew(news: News, overlay: MadeUp) -> None:
    pieces = iter(news.stream())
    next_event(pieces)
    overlay.layout = layout_of({"rp": ["n1"], "n1": []})
    news.look()
    kind, told = next_event(pieces)
    assert (kind, [node["name"] for node in told["nodes"]]) == ("overlay", ["rp", "n1"])


def test_the_stream_is_over_when_the_page_ends(overlay: MadeUp, events: EventStore, crash: Recorder) -> None:
    news = News(overlay.view, events, crash)
    news.start()
    pieces = iter(news.stream())
    next_event(pieces)
    news.stop()
    assert [piece for piece in pieces if piece] == []
