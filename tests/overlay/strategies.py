"""Hypothesis strategies: every event and every action."""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from hypothesis import strategies as st

from mcast.overlay import actions as do
from mcast.overlay import events as ev
from mcast.overlay.actions import SearchFailure
from mcast.wire.node import (
    ContentsPage,
    Found,
    ListContents,
    Miss,
    MissReason,
    Port,
    Start,
    Stop,
    StopReason,
    Stream,
)
from mcast.wire.rtcp import FeedState
from wire.strategies import (
    content_infos,
    contents,
    endpoints,
    exactly,
    identities,
    names,
    neighbours,
    node_messages,
    policies,
    texts,
    unsigned,
)
from wire.strategies import positions as wire_positions

T = TypeVar("T")
Strategy: TypeAlias = st.SearchStrategy[Any]


def kind_of(kind: type[T]) -> st.SearchStrategy[T]:
    """Draw messages of one kind."""
    return node_messages.filter(lambda message: isinstance(message, kind))  # type: ignore[return-value]


def tuples(values: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, max_size=3).map(tuple)


ids = st.integers(0, 1 << 40)
requests = exactly(16)
numbers = unsigned(63)
seconds = st.floats(0, 1e6)
paths = tuples(identities)
flags = st.booleans()
positions = st.none() | wire_positions
parents = names.map(do.NodeParent) | st.builds(
    do.ServerParent, texts, st.just(b"") | exactly(32), st.booleans()
)
answers = node_messages.filter(lambda message: isinstance(message, Found | Miss | ContentsPage))
discs = node_messages.filter(lambda message: type(message).__name__ == "Disc")
miss_reasons, stop_reasons = st.sampled_from(MissReason), st.sampled_from(StopReason)
failures = st.builds(SearchFailure, miss_reasons, texts, st.integers(0, 9), st.booleans(), st.booleans())
fields = tuples(st.tuples(texts, st.none() | st.integers() | texts | st.booleans() | tuples(texts)))

EVENT_PARTS: Mapping[type[ev.Event], list[Strategy]] = {
    ev.DiscReceived: [ids, discs],
    ev.ListReceived: [ids, kind_of(ListContents)],
    ev.StreamReceived: [ids, kind_of(Stream)],
    ev.ConnectionGone: [ids, st.sampled_from(ev.Departure)],
    ev.Renewed: [contents, ids, tuples(ids)],
    ev.Drained: [contents, tuples(ids)],
    ev.Wanted: [contents, seconds, st.sampled_from(Start), seconds],
    ev.Unwanted: [contents],
    ev.Answered: [names, answers],
    ev.Unasked: [names, requests, texts],
    ev.RoundTripMeasured: [names, seconds],
    ev.Accepted: [ids, kind_of(Port)],
    ev.Refused: [ids, miss_reasons, texts, unsigned(32)],
    ev.Stopped: [ids, stop_reasons, st.none() | numbers, texts],
    ev.ParentLost: [ids, texts],
    ev.ControlSilent: [ids],
    ev.Outdone: [ids],
    ev.HopMeasured: [ids, unsigned(16), unsigned(16)],
    ev.Limited: [unsigned(16), unsigned(32)],
    ev.RateMeasured: [contents, unsigned(32)],
    ev.LoadMeasured: [tuples(st.builds(ev.CarrierLoad, tuples(contents), st.floats(0, 4), flags))],
    ev.Advertised: [
        names,
        contents,
        paths,
        st.booleans(),
        st.none() | unsigned(16),
        unsigned(16),
        unsigned(32),
        flags,
    ],
    ev.Introduced: [names, st.none() | unsigned(8), st.none() | endpoints, flags, flags],
    ev.AdvertsLost: [names],
    ev.FeedChanged: [ids, st.sampled_from(ev.Feed), unsigned(32)],
    ev.ServerListed: [texts, tuples(content_infos)],
    ev.ServerMeasured: [texts, unsigned(32)],
    ev.ServerLost: [texts, texts],
    ev.LayoutChanged: [tuples(names), tuples(texts), tuples(names), policies, flags],
    ev.Offered: [tuples(neighbours)],
    ev.TimePassed: [],
    ev.Leaving: [],
}

ACTION_PARTS: Mapping[type[do.Action], list[Strategy]] = {
    do.Reply: [ids, answers],
    do.Accept: [ids, kind_of(Stream), paths, unsigned(32), tuples(endpoints)],
    do.Update: [ids, contents, paths, unsigned(32), flags, flags, flags, tuples(endpoints)],
    do.End: [ids, kind_of(Stop)],
    do.Dismiss: [ids, contents],
    do.Fail: [contents, failures],
    do.Await: [contents, texts],
    do.Ask: [names, discs],
    do.AskList: [names, kind_of(ListContents)],
    do.CancelAsks: [requests, tuples(names)],
    do.Subscribe: [
        ids,
        contents,
        requests,
        parents,
        unsigned(8),
        st.sampled_from(Start),
        flags,
        positions,
        st.none() | st.builds(do.Due, numbers, st.floats(0, 1e6)),
    ],
    do.Receive: [ids, contents],
    do.Leave: [ids, contents, stop_reasons],
    do.CloseRelay: [contents],
    do.BeginAnew: [contents, wire_positions],
    do.Supply: [contents, st.sampled_from(FeedState), flags],
    do.Advertise: [contents, paths, flags, st.none() | unsigned(16), unsigned(16), unsigned(32), flags],
    do.Introduce: [st.none() | unsigned(8), flags, flags],
    do.Meet: [tuples(endpoints)],
    do.Reach: [tuples(neighbours)],
    do.Seek: [st.just("") | contents],
    do.TakeLinks: [tuples(names)],
    do.AwaitDrain: [contents, numbers],
    do.Announce: [texts, texts, fields],
}

events: st.SearchStrategy[ev.Event] = st.one_of(
    [st.builds(kind, *parts) for kind, parts in EVENT_PARTS.items()]
)
actions: st.SearchStrategy[do.Action] = st.one_of(
    [st.builds(kind, *parts) for kind, parts in ACTION_PARTS.items()]
)
