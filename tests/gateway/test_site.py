"""The gateway as viewers meet it, by real HTTP clients; what it subscribes to is played by the test."""

import base64
import contextlib
import errno
import http.client
import json
import logging
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.conftest import KEY, Overlay, keyed
from helpers import PATIENCE, refuse_threads, wait_until
from mcast.client import notice
from mcast.errors import ConfigError, StreamEndedError, UnreachableError
from mcast.gateway import bodies, channel, channels, contents, hls, picture, remux, site
from mcast.gateway.gateway import Gateway
from mcast.web import connection
from mcast.wire.content import ContentInfo, Readiness
from mcast.wire.mpegts import PACKET, ContinuityChecker, starts_with_pat
from media.source.foreign import without_tables

pytestmark = pytest.mark.ffmpeg
SCRIPT = "<script>alert(1)</script>"
ODD = 'news "at" nine, 50 % für <b>alle</b>/ü'


def get(
    gateway: Gateway, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with contextlib.closing(http.client.HTTPConnection(*gateway.address, timeout=60)) as client:
        client.request(method, path, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read(), answer.headers


@contextlib.contextmanager
def watching(gateway: Gateway, path: str, method: str = "GET") -> Iterator[http.client.HTTPResponse]:
    """Give the answer to a request that does not end."""
    with contextlib.closing(http.client.HTTPConnection(*gateway.address, timeout=60)) as client:
        client.request(method, path)
        with client.getresponse() as answer:
            yield answer


def ffmpegs() -> int:
    """Return how many child processes of this one make MP4."""
    found = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread, or a process, that has just ended
            for pid in (task / "children").read_text().split():
                found += b"frag_keyframe" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return found


def url_of(gateway: Gateway, path: str) -> str:
    return f"http://{gateway.address}{path}"


# Streams


def test_a_transport_stream_begins_at_a_keyframe_and_goes_on(gateway: Gateway) -> None:
    with watching(gateway, "/earth.ts") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "video/mp2t")
        data = answer.read(PACKET * 2000)
    assert starts_with_pat(data, 0)
    checker = ContinuityChecker()
    checker.feed(data)
    assert checker.packets == 2000


def test_viewers_share_one_subscription_which_is_left_a_while_after_the_last(
    gateway: Gateway, overlay: Overlay
) -> None:
    with watching(gateway, "/earth.ts") as first, watching(gateway, "/earth.ts") as second:
        assert first.read(PACKET)
        assert second.read(PACKET)
        assert get(gateway, "/earth.jpg")[0] == 200
        assert len(overlay.made) == 1
    wait_until(lambda: not overlay.running())
    with watching(gateway, "/earth.ts") as again:
        assert again.read(PACKET)
    assert len(overlay.made) == 2


@pytest.mark.parametrize("path", ["/earth.ts", "/earth.mp4", "/earth/index.m3u8"])
def test_ffmpeg_decodes_it(gateway: Gateway, path: str) -> None:
    decode(url_of(gateway, path))


def test_ffmpeg_decodes_hls_and_its_segments_with_the_key(guarded: Gateway) -> None:
    decode(f"{keyed(guarded)}/earth/index.m3u8")


def decode(url: str) -> None:
    """Have ffmpeg decode pictures and sound without a complaint."""
    command = ["ffmpeg", "-v", "error", "-i", url, "-t", "2", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    streams = {line.split(b",")[0] for line in done.stdout.splitlines() if not line.startswith(b"#")}
    assert streams == {b"0", b"1"}


def test_hls_lists_segments_that_can_be_fetched_whole_and_in_part(gateway: Gateway) -> None:
    status, playlist, headers = get(gateway, "/earth/index.m3u8")
    assert (status, headers["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
    name = re.findall(r"^\d+\.ts$", playlist.decode(), re.MULTILINE)[-1]
    status, segment, headers = get(gateway, f"/earth/{name}")
    assert (status, headers["Content-Type"], len(segment) % PACKET) == (200, "video/mp2t", 0)
    assert starts_with_pat(segment, 0)
    status, part, headers = get(gateway, f"/earth/{name}", Range="bytes=188-375")
    assert (status, part) == (206, segment[188:376])
    assert headers["Content-Range"] == f"bytes 188-375/{len(segment)}"
    status, body, headers = get(gateway, f"/earth/{name}", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(segment)))


def test_a_stream_whose_programme_cannot_be_read_is_shown_all_the_same(
    gateway: Gateway, overlay: Overlay, stream: bytes
) -> None:
    overlay.stream = without_tables(stream)
    status, picture, _ = get(gateway, "/earth.jpg")
    assert (status, picture[:2]) == (200, b"\xff\xd8")
    with watching(gateway, "/earth.ts") as answer:
        assert starts_with_pat(answer.read(PACKET), 0)
    assert json.loads(get(gateway, "/api/contents")[1])["contents"][0]["channel"]["unplayable"] == []


def test_where_the_clock_is_set_back_hls_says_so(gateway: Gateway) -> None:
    wait_until(lambda: b"#EXT-X-DISCONTINUITY\n" in get(gateway, "/earth/index.m3u8")[1], timeout=60)


def test_a_viewer_of_hls_keeps_the_content_between_two_segments(gateway: Gateway, overlay: Overlay) -> None:
    get(gateway, "/earth/index.m3u8")
    last_seen = time.monotonic()
    wait_until(lambda: not overlay.running(), timeout=30)
    assert time.monotonic() - last_seen >= 3  # as long as three segments last; one of TS is waited for 0.2 s


@pytest.mark.parametrize("name", ["1.ts", "99999999999999999999.ts", "x.ts", "-1.ts", "²..ts"])
def test_a_segment_that_is_not_there_is_not_found(gateway: Gateway, name: str) -> None:
    assert get(gateway, f"/earth/{quote(name)}")[0] == 404
    get(gateway, "/earth/index.m3u8")
    assert get(gateway, f"/earth/{quote(name)}")[0] == 404


def test_mp4_is_made_by_one_ffmpeg_for_all_its_viewers(gateway: Gateway) -> None:
    with watching(gateway, "/earth.mp4") as first, watching(gateway, "/earth.mp4") as second:
        for answer in (first, second):
            assert answer.headers["Content-Type"] == "video/mp4"
            assert answer.read(8)[4:] == b"ftyp"
        assert ffmpegs() == 1


def test_a_picture_of_now_is_a_whole_one_and_kept_for_a_moment(gateway: Gateway) -> None:
    status, shown, headers = get(gateway, "/earth.jpg")
    assert (status, headers["Content-Type"], shown[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
    assert get(gateway, "/earth.jpg?age=60")[1] == shown
    for age in ("soon", "nan", "inf", "-1", ""):
        status, text, _ = get(gateway, f"/earth.jpg?age={age}")
        assert (age, status, b"number of seconds" in text) == (age, 400, True)


def test_a_picture_is_made_again_when_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    made, now = list[bytes](), [100.0]

    def decoded(stream: bytes) -> bytes:
        made.append(stream)
        return b"picture of " + stream

    monkeypatch.setattr(picture, "_decoded", decoded)
    pictures = picture.Pictures(clock=lambda: now[0])
    assert pictures.get(lambda: b"1") == pictures.get(lambda: b"2") == b"picture of 1"
    now[0] += picture.FRESH_SECONDS + 0.1
    assert pictures.get(lambda: b"3", age=60) == b"picture of 1"
    assert pictures.get(lambda: b"4") == b"picture of 4"
    assert made == [b"1", b"4"]


def test_when_a_content_is_over_its_stream_ends_and_begins_anew_for_the_next(
    gateway: Gateway, overlay: Overlay
) -> None:
    overlay.rounds = 1
    with watching(gateway, "/earth.ts") as answer:
        assert answer.read().endswith(overlay.stream[-PACKET:])
    (content, played), *_ = overlay.made
    assert (content, played.closed.wait(30)) == ("earth", True)
    overlay.rounds = 1000
    with watching(gateway, "/earth.mp4") as answer:  # who comes anew begins anew
        assert answer.read(8)[4:] == b"ftyp"


def test_hls_of_a_content_that_is_over_says_so_to_who_has_watched_it(
    gateway: Gateway, overlay: Overlay
) -> None:
    overlay.rounds = 3
    seen = get(gateway, "/earth/index.m3u8")[1]
    assert b"#EXT-X-ENDLIST" not in seen
    wait_until(lambda: not overlay.running(), "the end of the content", timeout=60)
    seen = get(gateway, "/earth/index.m3u8")[1]
    assert seen.endswith(b"#EXT-X-ENDLIST\n")
    last = re.findall(r"^\d+\.ts$", seen.decode(), re.MULTILINE)[-1]
    assert get(gateway, f"/earth/{last}")[0] == 200
    assert len(overlay.made) == 1


def test_a_stream_that_is_lost_is_no_end_for_hls(gateway: Gateway, overlay: Overlay) -> None:
    get(gateway, "/earth/index.m3u8")
    overlay.made[0][1].lost = StreamEndedError("no way to the content 'earth'")
    wait_until(lambda: not overlay.running(), "the end of the stream", timeout=60)
    assert b"#EXT-X-ENDLIST" not in get(gateway, "/earth/index.m3u8")[1]
    assert len(overlay.made) == 2


# What there is


def test_the_page_and_its_files_are_served(gateway: Gateway) -> None:
    status, page, headers = get(gateway, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for name in re.findall(r'(?:href|src)="/([\w.]+)"', page.decode()):
        assert get(gateway, f"/{name}")[0] == 200, name
    assert b"style=" not in page
    assert b"onclick" not in page


def test_the_list_says_what_is_known_of_each_content_and_how_it_goes(
    gateway: Gateway, overlay: Overlay
) -> None:
    overlay.contents += [ContentInfo("soon", format="preparing 43 %", readiness=Readiness.PREPARING)]
    with watching(gateway, "/earth.ts") as answer:
        answer.read(PACKET)
        told = json.loads(get(gateway, "/api/contents")[1])
    assert told["version"] == 1
    earth, soon = told["contents"]
    assert (earth["name"], earth["kind"], earth["url"], earth["width"]) == ("earth", "loop", "earth", 320)
    assert (earth["channel"]["path"], earth["channel"]["viewers"]) == (["rp", "n1"], 1)
    assert (soon["kind"], soon["format"], soon["channel"]) == ("preparing", "preparing 43 %", None)


def test_the_page_is_as_light_as_its_documentation_says(gateway: Gateway) -> None:
    text = (Path(__file__).parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
    told = re.search(r"The page weighs (\d+) KB", text)
    assert told
    assert gateway._site.page_bytes / 1000 == pytest.approx(int(told[1]), abs=1)


@pytest.mark.parametrize("name", [SCRIPT, ODD, "playlist.m3u", "udp", "a/b", "?#&", "."])
def test_any_name_plays_under_the_url_that_the_playlist_gives(
    gateway: Gateway, overlay: Overlay, name: str
) -> None:
    overlay.contents.append(ContentInfo(name))
    lines = get(gateway, "/playlist.m3u")[1].decode().splitlines()
    assert lines[0] == "#EXTM3U"
    url = lines[lines.index(f"#EXTINF:-1,{name}") + 1]
    assert url.startswith(f"http://{gateway.address}/")
    with watching(gateway, url.removeprefix(f"http://{gateway.address}")) as answer:
        assert answer.status == 200
        assert starts_with_pat(answer.read(PACKET), 0)
    assert overlay.made[-1][0] == name


@pytest.mark.parametrize("name", [SCRIPT, ODD, "udp", "rtp", "api", "playlist.m3u", "a/b", "?#&", "1.ts"])
def test_any_name_has_hls_whose_segments_can_be_fetched(
    gateway: Gateway, overlay: Overlay, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("KEPT", "MAX_BYTES"):  # none is gone before it is fetched, however slow this is
        monkeypatch.setattr(hls, each, 100 * getattr(hls, each))
    overlay.contents.append(ContentInfo(name))
    overlay.speed = 20.0
    folder = f"/{quote(name, safe='')}"
    status, playlist, _ = get(gateway, f"{folder}/index.m3u8")
    assert status == 200
    for segment in urls_of(playlist):
        assert (segment, get(gateway, f"{folder}/{segment}", "HEAD")[0]) == (segment, 200)


def urls_of(playlist: bytes) -> list[str]:
    return [line for line in playlist.decode().splitlines() if not line.startswith("#")]


def test_a_playlist_is_right_for_who_sends_no_host_and_behind_a_proxy_of_this_machine(
    gateway: Gateway,
) -> None:
    with socket.create_connection(gateway.address, 60) as sock:
        sock.sendall(b"GET /playlist.m3u HTTP/1.0\r\n\r\n")
        answer = sock.makefile("rb").read()
    assert urls_of(answer.partition(b"\r\n\r\n")[2]) == [f"http://{gateway.address}/earth.ts"]
    headers = {"Host": "tv.localhost", "X-Forwarded-Proto": "https"}
    assert urls_of(get(gateway, "/playlist.m3u", **headers)[1]) == ["https://tv.localhost/earth.ts"]


def by_basic(url: str, **headers: str) -> tuple[int, bytes]:
    """Ask as players do: the user and password of the URL become a header."""
    parts = urlsplit(url)
    user = f"{parts.username}:{unquote(parts.password or '')}"
    shown = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if parts.username else {}
    with contextlib.closing(
        http.client.HTTPConnection(str(parts.hostname), parts.port or 80, timeout=60)
    ) as client:
        client.request("GET", parts.path, headers={**shown, **headers})
        answer = client.getresponse()
        return answer.status, answer.read(PACKET if parts.path.endswith(".ts") else None)


@pytest.mark.parametrize("name", ["earth", ODD])
def test_every_url_of_a_playlist_that_was_had_by_a_password_plays_without_another_question(
    guarded: Gateway, overlay: Overlay, name: str
) -> None:
    overlay.contents = [ContentInfo(name)]
    status, playlist = by_basic(f"{keyed(guarded)}/playlist.m3u")
    assert (status, len(urls_of(playlist))) == (200, 1)
    for url in urls_of(playlist):
        assert url.startswith(f"{keyed(guarded)}/")
        status, start = by_basic(url)
        assert (status, starts_with_pat(start, 0)) == (200, True)


def test_a_playlist_that_was_had_otherwise_tells_no_key(guarded: Gateway) -> None:
    url, path = f"http://{guarded.address}", "/playlist.m3u"
    status, playlist, headers = get(guarded, path, Authorization=f"Bearer {KEY}")
    assert (status, urls_of(playlist)) == (200, [f"{url}/earth.ts"])
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert urls_of(get(guarded, path, Cookie=cookie)[1]) == [f"{url}/earth.ts"]
    assert by_basic(f"{url}/earth.ts")[0] == 401


# What is not there


def test_a_content_that_is_absent_is_not_found_and_what_it_might_have_meant_is_said(
    gateway: Gateway, overlay: Overlay
) -> None:
    for path in ("/erth.ts", "/erth.mp4", "/erth.jpg", "/erth/index.m3u8"):
        status, text, _ = get(gateway, path)
        assert (status, b"did you mean 'earth'?" in text) == (404, True)
    assert overlay.made == []
    status, page, headers = get(gateway, f"/{quote(SCRIPT, safe='')}.ts", Accept="text/html")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"<script>" not in page


@pytest.mark.parametrize(
    "path", ["/earth.ts", "/earth/index.m3u8", "/earth.jpg", "/playlist.m3u", "/api/contents"]
)
def test_if_the_overlay_cannot_be_reached_it_is_to_be_asked_again(
    gateway: Gateway, overlay: Overlay, path: str
) -> None:
    overlay.unreachable = UnreachableError("nobody answers at 10.0.2.10:5000")
    status, text, headers = get(gateway, path)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert b"10.0.2.10:5000" in text
    assert get(gateway, "/")[0] == 200


@pytest.mark.parametrize("path", ["/earth.ts", "/earth.mp4", "/earth.jpg", "/earth/index.m3u8"])
def test_a_viewer_for_whom_nothing_comes_is_told_what_is_waited_for(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(site, "FIRST_SECONDS", 0.1)
    overlay.awaited = "preparing 43 %"
    status, text, headers = get(gateway, path)
    assert (status, headers["Retry-After"], b"(preparing 43 %)" in text) == (503, "2", True)


def test_where_not_even_that_is_known_the_doubt_about_the_way_is_told(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "FIRST_SECONDS", 0.1)
    overlay.doubt = "nothing has come by UDP: a firewall?"
    assert b"(nothing has come by UDP: a firewall?)" in get(gateway, "/earth.ts")[1]


def test_what_a_channel_waits_for_is_in_the_list_and_in_the_log(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notice, "LOG_AFTER", 0.1)
    caplog.set_level(logging.INFO)
    overlay.awaited = "the source is silent"
    with socket.create_connection(gateway.address, 60) as viewer:
        viewer.sendall(b"GET /earth.ts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: "[earth] waiting: the source is silent" in caplog.messages, timeout=60)
        (earth,) = json.loads(get(gateway, "/api/contents")[1])["contents"]
    assert earth["channel"]["awaited"] == "the source is silent"


def test_one_content_that_cannot_be_had_costs_no_other(gateway: Gateway, overlay: Overlay) -> None:
    overlay.failures["earth"] = UnreachableError("no way to the content 'earth'")
    overlay.contents.append(ContentInfo("moon"))
    assert get(gateway, "/earth.ts")[0] == 503
    assert get(gateway, "/moon.jpg")[0] == 200


@pytest.mark.parametrize("path", ["/udp/239.1.2.3:1234", "/rtp/239.1.2.3:1234", "/udp/", "/udp/x.ts"])
def test_who_takes_it_for_udpxy_is_told_what_to_use(gateway: Gateway, path: str) -> None:
    status, text, _ = get(gateway, path)
    assert (status, b"/playlist.m3u" in text) == (404, True)


@pytest.mark.parametrize("path", ["/nothing", "/.ts", "/x.avi", "/x/../earth.ts", "/api/", "/base.css/x"])
def test_a_path_that_the_gateway_has_not_is_answered_with_404(gateway: Gateway, path: str) -> None:
    assert get(gateway, path)[0] == 404


def no_ffmpeg(_: Overlay, patch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise ConfigError(f"{name} is missing; install it")

    patch.setattr("mcast.gateway.remux.find_tool", missing)
    patch.setattr("mcast.gateway.picture.find_tool", missing)


def out_of_reach(overlay: Overlay, _: pytest.MonkeyPatch) -> None:
    overlay.unreachable = UnreachableError("nobody answers at 10.0.2.10:5000")


def silent(overlay: Overlay, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(channels, "DOUBTFUL_SECONDS", 0.1)
    overlay.mute = UnreachableError("10.0.2.10:5000 did not say in time")
    overlay.joinable.clear()


def source_awaited(overlay: Overlay, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bodies, "FIRST_SECONDS", 0.1)
    patch.setattr(site, "FIRST_SECONDS", 0.1)
    overlay.awaited = "the source is silent"


def of_older_nodes(overlay: Overlay, _: pytest.MonkeyPatch) -> None:
    overlay.mute = UnreachableError("10.0.2.10:5000 did not say in time")


def without_a_way(overlay: Overlay, _: pytest.MonkeyPatch) -> None:
    overlay.failures["earth"] = UnreachableError("no way to the content 'earth'")


def full(_: Overlay, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(channels, "MAX_CHANNELS", 0)


def as_it_should_be(_overlay: Overlay, _patch: pytest.MonkeyPatch) -> None:
    pass


STATES = [
    as_it_should_be, no_ffmpeg, out_of_reach, silent, source_awaited, of_older_nodes, without_a_way, full,
]  # fmt: skip
ALL_URLS = [
    "/earth.ts", "/earth.mp4", "/earth.jpg", "/earth/index.m3u8", "/earth/1.ts", "/erth.ts", "/erth.mp4",
    "/erth.jpg", "/erth/index.m3u8", "/earth.jpg?age=x", "/", "/watch.js", "/playlist.m3u", "/api/contents",
    "/udp/239.1.2.3:5", "/nothing", "/api/", "/x.avi",
]  # fmt: skip


def head_of(gateway: Gateway, path: str, method: str) -> tuple[int, dict[str, str]]:
    with watching(gateway, path, method) as answer:
        headers = dict(answer.getheaders())
    del headers["Date"]
    if path.endswith((".m3u8", "/contents")) and "Content-Length" in headers:  # they grow meanwhile
        headers["Content-Length"] = ""
    return answer.status, headers


@pytest.mark.parametrize("state", STATES)
def test_head_tells_of_every_url_in_every_state_what_get_would(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch,
    state: Callable[[Overlay, pytest.MonkeyPatch], None],
) -> None:  # fmt: skip
    monkeypatch.setattr(contents, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(channels, "RETRY_SECONDS", 0)  # nor is anything kept for who comes again
    monkeypatch.setattr(site, "SEGMENTS_AWAY", 0)
    overlay.speed = 20.0
    state(overlay, monkeypatch)
    for path in ALL_URLS:
        assert (path, head_of(gateway, path, "HEAD")) == (path, head_of(gateway, path, "GET"))
    wait_until(lambda: not overlay.running(), "HEAD to let go of what it has joined", timeout=60)


@pytest.mark.parametrize("path", ["/earth.ts", "/earth.mp4", "/earth.jpg", "/earth/index.m3u8"])
def test_out_of_reach_is_told_soon_and_who_comes_again_finds_what_was_joined_meanwhile(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    silent(overlay, monkeypatch)
    status, text, headers = get(gateway, path)  # would wait as long as one joins: here for ever
    assert (status, headers["Retry-After"], text) == (503, "5", b"10.0.2.10:5000 did not say in time\n")
    overlay.joinable.set()
    wait_until(lambda: head_of(gateway, path, "HEAD")[0] == 200)
    assert len(overlay.made) == 1


def test_streams_may_be_had_by_other_origins_and_the_list_may_not(gateway: Gateway) -> None:
    assert get(gateway, "/earth.jpg")[2]["Access-Control-Allow-Origin"] == "*"
    assert get(gateway, "/api/contents")[2]["Access-Control-Allow-Origin"] is None


def test_who_may_have_a_stream_of_another_origin_may_know_why_there_is_none(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "FRESH_SECONDS", 0.0)
    for path in ("/erth.ts", "/erth.mp4", "/erth/index.m3u8", "/earth/1.ts", "/erth.jpg"):
        assert (path, get(gateway, path)[2]["Access-Control-Allow-Origin"]) == (path, "*")
    overlay.unreachable = UnreachableError("nobody answers")
    status, _, headers = get(gateway, "/earth.ts")
    assert (status, headers["Access-Control-Allow-Origin"]) == (503, "*")
    status, _, headers = get(gateway, "/api/contents")
    assert (status, headers["Access-Control-Allow-Origin"]) == (503, None)


def test_without_ffmpeg_everything_else_goes_on(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_ffmpeg(overlay, monkeypatch)
    for path in ("/earth.mp4", "/earth.jpg"):
        status, text, _ = get(gateway, path)
        assert (status, b"ffmpeg is missing" in text) == (501, True)
    assert get(gateway, "/earth/index.m3u8")[0] == 200


# Bounds


@pytest.mark.parametrize("thread", ["output", "remux-earth"])
def test_without_threads_or_descriptors_for_ffmpeg_it_is_to_be_asked_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, thread: str
) -> None:
    before = ffmpegs()
    with monkeypatch.context() as patch:
        refuse_threads(patch, thread)
        assert get(gateway, "/earth.mp4")[0] == 503
    with monkeypatch.context() as patch:
        for module in (remux, picture):
            patch.setattr(module, "TiedProcess", no_descriptors)
        for path in ("/earth.mp4", "/earth.jpg"):
            status, text, headers = get(gateway, path)
            assert (status, headers["Retry-After"]) == (503, "2")
            assert b"ffmpeg cannot be started: Too many open files" in text
    assert ffmpegs() == before
    with watching(gateway, "/earth.mp4") as answer:
        assert answer.read(8)[4:] == b"ftyp"


def no_descriptors(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_channels_that_take_long_to_end_hold_up_nobody(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_end, ending = threading.Event(), list[str]()

    class Slow(channel.Channel):
        def _end(self) -> None:
            super()._end()
            ending.append(self.content)
            assert may_end.wait(PATIENCE)

    overlay.contents.append(ContentInfo("moon"))
    overlay.rounds = 1
    monkeypatch.setattr(channels, "Channel", Slow)
    get(gateway, "/earth.ts")  # to its end
    wait_until(lambda: ending == ["earth"])
    overlay.rounds = 1000
    for path in ("/earth.ts", "/moon.ts"):  # the one that is over has not ended
        with watching(gateway, path) as answer:
            assert answer.read(PACKET)
    wait_until(lambda: sorted(ending) == ["earth", "earth", "moon"])
    looked = threading.Event()
    gateway.call(looked.set)
    assert looked.wait(PATIENCE)
    assert "has not ended" not in caplog.text, "somebody has waited for it"
    may_end.set()
    wait_until(lambda: not gateway._channels._ending)


def test_a_viewer_that_does_not_read_is_cut_and_costs_nobody_else(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.5)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(tuple(gateway.address))
        slow.sendall(b"GET /earth.ts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with watching(gateway, "/earth.ts") as other:

            def is_cut() -> bool:
                assert other.read(PACKET * 200)
                return gateway.cut == 1

            wait_until(is_cut, "the one that does not read to be cut")


def test_beyond_the_most_contents_at_a_time_others_wait(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "MAX_CHANNELS", 1)
    overlay.contents.append(ContentInfo("moon"))
    with watching(gateway, "/earth.ts") as answer:
        answer.read(PACKET)
        assert get(gateway, "/moon.jpg")[0] == 503
    wait_until(lambda: get(gateway, "/moon.jpg")[0] == 200)


def test_who_is_further_behind_than_what_is_kept_is_cut_and_counted(
    gateway: Gateway, overlay: Overlay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(channel, "MAX_BUFFERED", 100 * PACKET)
    monkeypatch.setattr(connection, "SEND_SECONDS", 60.0)  # it is not for not reading that it is cut
    overlay.speed = 200.0  # far more comes at a time than is kept
    with socket.create_connection(gateway.address, 60) as slow:
        slow.sendall(b"GET /earth.ts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while slow.recv(1 << 20):
                pass
    wait_until(lambda: "cut the viewer at 127.0.0.1: it is slower than the stream" in caplog.text)
    assert gateway.cut == 1
    assert json.loads(get(gateway, "/api/contents")[1])["cut_viewers"] == 1


def test_two_hundred_viewers_watch_one_stream_and_none_is_cut(gateway: Gateway, overlay: Overlay) -> None:
    with contextlib.ExitStack() as viewers:

        def ask(path: str) -> socket.socket:
            sock = viewers.enter_context(socket.create_connection(gateway.address, 60))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return sock

        streams = [ask("/earth.ts") for _ in range(200)] + [ask("/earth.mp4") for _ in range(10)]
        lists = [ask("/earth/index.m3u8") for _ in range(10)]
        for sock in streams:
            assert sock.makefile("rb").read(PACKET * 300).startswith(b"HTTP/1.1 200 OK")
        for sock in lists:
            assert b"#EXTM3U" in sock.recv(65_536)
        name = re.findall(r"^\d+\.ts$", get(gateway, "/earth/index.m3u8")[1].decode(), re.MULTILINE)[-1]
        assert get(gateway, f"/earth/{name}")[0] == 200
        assert len(overlay.made) == ffmpegs() == 1
        assert gateway.cut == 0


names = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(names, max_size=3), st.sampled_from(["", ".ts", ".mp4", ".jpg", "/index.m3u8", "/1.ts"]))
def test_any_url_is_answered_and_none_is_our_fault(gateway: Gateway, parts: list[str], ending: str) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts) + ending
    assert get(gateway, path)[0] in (200, 400, 404)


def test_the_end_of_the_gateway_ends_every_stream(overlay: Overlay, gateway: Gateway) -> None:
    with watching(gateway, "/earth.ts") as ts, watching(gateway, "/earth.mp4") as mp4:
        assert ts.read(PACKET)
        assert mp4.read(8)
        gateway.__exit__(None, None, None)
        ts.read()
        mp4.read()
    assert overlay.running() == []
