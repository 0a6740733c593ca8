"""The last events, numbered, bounded, whoever has told them."""

from mcast.monitoring.events import BURST, MAX_EVENTS, MAX_KINDS, RATE, EventStore
from mcast.wire.health import EventField, EventReport


def told(name: str = "fed", age_ms: int = 0) -> EventReport:
    return EventReport(
        name, f"{name}!", age_ms, "news", (EventField("after_ms", number=35), EventField("by", "n2"))
    )


def test_an_event_has_a_number_a_time_and_who_has_told_it() -> None:
    store = EventStore(clock=lambda: 1_700_000_000.5)
    store.add("n1", [told(age_ms=1500)])
    assert store.since(0) == [
        {
            "number": 1,
            "time": "2023-11-14T22:13:19.000Z",
            "node": "n1",
            "event": "fed",
            "content": "news",
            "text": "fed!",
            "fields": {"after_ms": 35, "by": "n2"},
        }
    ]


def test_who_knows_a_number_gets_what_came_behind_it() -> None:
    store = EventStore()
    store.add("", [told() for _ in range(5)])
    assert [each["number"] for each in store.since(3)] == [4, 5]
    assert store.since(5) == []
    assert store.since(10**15) == []
    assert (store.last, store.since(0)[0]["node"]) == (5, None)


def test_beyond_the_bound_the_oldest_events_are_forgotten() -> None:
    store = EventStore()
    store.add("", [told() for _ in range(MAX_EVENTS + 10)])
    kept = store.since(0)
    assert (len(kept), kept[0]["number"], kept[-1]["number"]) == (MAX_EVENTS, 11, MAX_EVENTS + 10)
    assert store.since(3)[0]["number"] == 11


def test_a_node_that_never_stops_to_tell_leaves_room_for_the_others() -> None:
    now = 1000.0
    store = EventStore(clock=lambda: now)
    store.add("n1", [told() for _ in range(10_000)])
    store.add("n2", [told("parent_lost")])
    assert (store.last, store.since(0)[-1]["node"]) == (BURST + 1, "n2")
    now += 1
    store.add("n1", [told() for _ in range(10_000)])
    assert store.last == BURST + 1 + RATE


def test_names_that_nodes_make_up_are_counted_up_to_a_bound() -> None:
    store = EventStore()
    for number in range(MAX_KINDS + 5):
        store.add(f"n{number}", [told(f"made up {number}")])
    store.add("n1", [told("made up 0")])
    assert len(store.counts()) == MAX_KINDS
    assert store.counts()["made up 0"] == 2


def test_a_node_whose_clock_is_nonsense_harms_nobody() -> None:
    store = EventStore()
    store.add("n1", [told(age_ms=(1 << 64) - 1)])
    assert store.since(0)[0]["time"] == "1970-01-01T00:00:00.000Z"


def test_who_numbers_anew_has_another_epoch() -> None:
    assert EventStore().epoch != EventStore().epoch
