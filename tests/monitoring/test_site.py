"""What is at which URL, asked for over HTTP."""

import json
import re
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from helpers import Recorder
from mcast.monitoring.events import EventStore
from mcast.monitoring.news import News
from mcast.monitoring.page import OverlayPage
from mcast.monitoring.site import ANSWERS_WITHIN, Site
from mcast.wire.health import EventReport
from monitoring.overlays import SCRIPT, MadeUp, Told

TOP = Path(__file__).parents[2]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(page: OverlayPage, path: str, method: str = "GET") -> Answer:
    with closing(HTTPConnection("127.0.0.1", page.address.port, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def read(page: OverlayPage, path: str) -> Told:
    answer = ask(page, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    told: Told = json.loads(answer.body)
    return told


def test_the_api_tells_of_the_overlay_and_its_contents(page: OverlayPage) -> None:
    assert [node["name"] for node in read(page, "/api/overlay")["nodes"]] == ["rp", "n1", "n2", "n3"]
    assert [each["name"] for each in read(page, "/api/contents")["contents"]] == [SCRIPT, "news"]


def test_events_are_told_from_a_number_on(page: OverlayPage, events: EventStore) -> None:
    events.add("n1", [EventReport("attached", "it is there"), EventReport("cut", "no more")])
    assert [each["event"] for each in read(page, "/api/events")["events"]] == ["attached", "cut"]
    told = read(page, "/api/events?since=1")
    assert ([each["event"] for each in told["events"]], told["last"]) == (["cut"], 2)
    assert read(page, "/api/events?since=2") == {
        "version": 1, "epoch": events.epoch, "last": 2, "events": [],
    }  # fmt: skip


@pytest.mark.parametrize("since", ["x", "-1", "", "1e3", "9" * 30, "%C2%B2"])
def test_a_number_that_is_none_is_one_line(page: OverlayPage, since: str) -> None:
    answer = ask(page, f"/api/events?since={since}")
    assert (answer.status, answer.body) == (
        400, b"since is the number of an event: 0 for all that is kept\n",
    )  # fmt: skip


def test_it_is_well_as_long_as_a_rendezvous_point_answers(page: OverlayPage, overlay: MadeUp) -> None:
    answer = ask(page, "/healthz")
    assert (answer.status, answer.body) == (200, b"rendezvous point rp is up\n")
    overlay.now += ANSWERS_WITHIN + 0.1
    answer = ask(page, "/healthz")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    overlay.report("rp")
    assert ask(page, "/healthz").status == 200
    overlay.leave("rp")
    answer = ask(page, "/healthz")
    assert (answer.status, answer.body) == (
        503, b"no rendezvous point answers (of rp): is its mcast-node up?\n",
    )  # fmt: skip


def test_metrics_have_the_kind_that_prometheus_asks_for(page: OverlayPage) -> None:
    answer = ask(page, "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'mcast_node_up{node="rp"} 1\n' in answer.body


def test_the_page_weighs_what_the_documentation_says(
    events: EventStore, overlay: MadeUp, crash: Recorder
) -> None:
    site = Site(overlay.view, events, News(overlay.view, events, crash))
    told = re.search(r"The page weighs (\d+) KB", (TOP / "docs" / "monitoring.md").read_text())
    assert told is not None
    assert int(told[1]) == pytest.approx(site.page_bytes / 1000, abs=2)


PAGE = ("/", "/overlay.js", "/events.js", "/layout.js", "/overlay.css", "/base.css")


@pytest.mark.parametrize("path", PAGE)
def test_the_page_and_its_files_are_there_under_a_strict_policy(page: OverlayPage, path: str) -> None:
    answer = ask(page, path)
    assert answer.status == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert b" style=" not in answer.body


@pytest.mark.parametrize("path", ["/api", "/api/overlay/x", "/api/nothing", "/nothing", "/metrics/x", "/.."])
def test_a_path_that_the_overlay_page_has_not_is_answered_with_404(page: OverlayPage, path: str) -> None:
    assert ask(page, path).status == 404


def test_a_post_to_the_overlay_page_is_answered_with_405(page: OverlayPage) -> None:
    assert ask(page, "/api/overlay", "POST").status == 405


URLS = [
    *PAGE, "/api/overlay", "/api/contents", "/api/events", "/api/events?since=x", "/api/stream", "/metrics",
    "/healthz", "/nothing", "/api",
]  # fmt: skip


def head_of(page: OverlayPage, path: str, method: str) -> tuple[int, dict[str, str]]:
    with closing(HTTPConnection("127.0.0.1", page.address.port, timeout=30)) as connection:
        connection.request(method, path)
        with connection.getresponse() as answer:
            assert method == "GET" or answer.read() == b""
            headers = dict(answer.getheaders())
    del headers["Date"]
    return answer.status, headers


@pytest.mark.parametrize("is_well", [True, False])
def test_head_tells_of_every_url_what_get_would(page: OverlayPage, overlay: MadeUp, is_well: bool) -> None:
    if not is_well:
        overlay.leave("rp")
    assert head_of(page, "/healthz", "HEAD")[0] == (200 if is_well else 503)
    for path in URLS:
        assert (path, head_of(page, path, "HEAD")) == (path, head_of(page, path, "GET"))
