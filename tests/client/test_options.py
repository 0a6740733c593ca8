"""What a subscription refuses to be told, before anything is opened."""

import math
from typing import Any

import pytest

from mcast.client import Subscription
from mcast.client.options import check_neighbours, check_start
from mcast.errors import ConfigError
from mcast.hostport import HostPort
from mcast.wire.node import Start

GOOD: dict[str, Any] = {"neighbours": ["127.0.0.1:5000"], "content": "news"}


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("neighbours", [], "no neighbour is given"),
        ("neighbours", ["127.0.0.1"], "has no port"),
        ("neighbours", [":5000"], "has no host"),
        ("neighbours", ["127.0.0.1:0"], "port"),
        ("content", "", "at least one character"),
        ("content", "é" * 128, "at most 255 bytes, not 256"),
        ("content", "a\udcff", "no UTF-8 text"),
        ("content", "a\nb", "printable"),
        ("latency_ms", -1, "no number of milliseconds"),
        ("latency_ms", 60_001, "no number of milliseconds"),
        ("patience", 0, "no number of seconds above 0"),
        ("patience", math.inf, "no number of seconds above 0"),
        ("patience", math.nan, "no number of seconds above 0"),
        ("start", "yesterday", "'keyframe' or 'live'"),
        ("media_ports", "9-1", "9-1"),
        ("queue_bytes", 0, "holds nothing"),
    ],
)
def test_what_cannot_be_used_is_refused_and_said(option: str, value: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Subscription(**{**GOOD, option: value})


def test_each_neighbour_counts_once_and_one_need_not_be_a_list() -> None:
    assert check_neighbours(["10.0.0.1:5000", "[::1]:5000", "10.0.0.1:5000"]) == (
        HostPort("10.0.0.1", 5000), HostPort("::1", 5000),
    )  # fmt: skip
    assert check_neighbours("10.0.0.1:5000") == (HostPort("10.0.0.1", 5000),)


def test_the_places_to_start_from_have_names() -> None:
    assert (check_start("keyframe"), check_start("live")) == (Start.KEYFRAME, Start.LIVE)


def test_a_name_of_255_bytes_is_a_name() -> None:
    Subscription(**{**GOOD, "content": "x" * 255})
