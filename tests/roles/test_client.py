"""The client's command line, its outputs and its report: against an overlay inside this process."""

import errno
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.neighbours import Node, meanwhile
from helpers import PATIENCE
from mcast.errors import StreamEndedError
from mcast.media.output import Ended, Writer, file_output, unusable
from mcast.net.threads import OnCrash
from mcast.roles.client import targets
from mcast.roles.client.main import main
from mcast.roles.client.session import Session
from mcast.wire.node import StopReason
from roles.overlay_parts import Contents, World
from roles.partners import port_for

RECORD = f"{sys.executable} -c 'import sys; sys.stdin.buffer.read()'"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`main` configures logging for a whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def neighbour(world: World) -> str:
    (rp, *_) = world.line(Contents("news", clip=40), 0)
    world.viewer(rp, "news").watch().leave()
    return str(rp.address)


def test_a_content_is_recorded_to_its_end_with_a_report(neighbour: str, tmp_path: Path) -> None:
    file, report = tmp_path / "clip.ts", tmp_path / "report.json"
    status = main(["--neighbour", neighbour, "--content", "clip", "--output", str(file),
                   "--report", str(report), "--latency", "50"])  # fmt: skip
    assert status == 0
    told = json.loads(report.read_text())
    assert told["first_number"] in (0, 20)  # the last keyframe that was sent when the client came
    assert file.stat().st_size == (40 - told["first_number"]) * 188
    assert (told["content"], told["path"], told["exit_reason"], told["exit_status"]) == (
        "clip", ["rp"], "the content is over", 0,
    )  # fmt: skip


def test_an_output_that_cannot_be_opened_ends_it_with_status_2_and_leaves_no_other_open(
    neighbour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full.ts"

    def open_file(path: Path, on_crash: OnCrash, hurry: threading.Event | None = None) -> Writer:
        if path == full:  # there is no room for its name: nobody could know before
            raise unusable(full, errno.ENOSPC)
        return file_output(path, on_crash, hurry)

    monkeypatch.setattr(targets, "file_output", open_file)
    outputs = ["--output", str(tmp_path / "first.ts"), "--output", str(full)]
    assert main(["--neighbour", neighbour, "--content", "news", *outputs]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert [each for each in threading.enumerate() if each.name == "output"] == []


def test_a_player_is_fed_and_ended(neighbour: str) -> None:
    assert main(["--neighbour", neighbour, "--content", "news", "--player", RECORD, "--duration", "0.2"]) == 0


def test_a_player_that_is_closed_ends_it_with_status_0(neighbour: str) -> None:
    assert main(["--neighbour", neighbour, "--content", "news", "--player", "true"]) == 0


def test_a_player_that_cannot_be_started_leaves_the_subscription(
    neighbour: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    player = tmp_path / "player"
    player.write_bytes(b"\0no program")
    player.chmod(0o755)
    assert main(["--neighbour", neighbour, "--content", "news", "--player", str(player)]) == 2
    assert f"cannot start '{player}'" in capsys.readouterr().err
    world.wait_idle()


def test_what_is_absent_is_status_3_and_the_report_says_so(neighbour: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    status = main(
        ["--neighbour", neighbour, "--content", "olds", "--player", "true", "--report", str(report)]
    )
    assert status == 3
    told = json.loads(report.read_text())
    assert told["exit_status"] == 3
    assert "no server that answers has the content 'olds'" in told["exit_reason"]


def test_a_neighbour_that_is_not_there_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--neighbour", "127.0.0.1:1", "--content", "x", "--player", "true", "--wait", "0.1"])
    assert status == 4
    assert "nobody answers at 127.0.0.1:1" in capsys.readouterr().err


def test_several_neighbours_are_asked_and_one_that_is_not_there_is_no_obstacle(
    neighbour: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    status = main(["--neighbour", "127.0.0.1:1", "--neighbour", neighbour, "--content", "clip",
                   "--output", str(tmp_path / "clip.ts"), "--report", str(report)])  # fmt: skip
    assert status == 0
    assert json.loads(report.read_text())["path"] == ["rp"]


def test_a_join_that_fails_touches_no_file(neighbour: str, tmp_path: Path) -> None:
    older, missing = tmp_path / "older.ts", tmp_path / "missing.ts"
    older.write_bytes(b"an older recording")
    for file in (older, missing):
        assert main(["--neighbour", neighbour, "--content", "olds", "--output", str(file)]) == 3
    assert older.read_bytes() == b"an older recording"
    assert not missing.exists()


def test_a_content_that_ends_before_any_media_came_is_status_4_and_touches_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node, older = Node(), tmp_path / "older.ts"
    older.write_bytes(b"an older recording")

    def end_at_once() -> None:
        node.take_in()
        node.say_stop(StopReason.END, last=0)

    try:
        with meanwhile(end_at_once):
            status = main(["--neighbour", node.address, "--content", "news", "--output", str(older)])
    finally:
        node.close()
    assert status == 4
    assert "error: the content 'news' has ended before any media came" in capsys.readouterr().err
    assert older.read_bytes() == b"an older recording"


@pytest.mark.parametrize("wait", ["0.3", "1"])
def test_udp_that_never_comes_is_status_4_and_the_line_names_it_however_short_the_wait(
    wait: str, silent_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node, file = Node(), tmp_path / "news.ts"

    def accept() -> None:
        connection, asked = node.asked_to_stream()
        connection.send(port_for(asked, port=silent_port))

    try:
        with meanwhile(accept):
            status = main(
                ["--neighbour", node.address, "--content", "news", "--output", str(file), "--wait", wait]
            )
    finally:
        node.close()
    assert status == 4
    (line,) = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert f"no media of 'news' has come in {wait} s, though it was joined at rp: " in line
    assert line.endswith(f"no UDP comes from 127.0.0.1:{silent_port} though TCP is up: a firewall?")
    assert not file.exists()


def test_an_older_recording_is_replaced(neighbour: str, tmp_path: Path) -> None:
    file = tmp_path / "clip.ts"
    file.write_bytes(bytes(100_000))
    assert main(["--neighbour", neighbour, "--content", "clip", "--output", str(file)]) == 0
    assert file.stat().st_size in (40 * 188, 20 * 188)  # a slow one begins at the next keyframe


def test_several_outputs_get_the_same(neighbour: str, tmp_path: Path) -> None:
    one, other, report = tmp_path / "one.ts", tmp_path / "other.ts", tmp_path / "report.json"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        address = f"udp://127.0.0.1:{receiver.getsockname()[1]}?ttl=1"
        status = main(["--neighbour", neighbour, "--content", "clip", "--output", str(one),
                       "--output", str(other), "--output", address, "--player", RECORD,
                       "--report", str(report), "--latency", "50"])  # fmt: skip
        size = one.stat().st_size
        came = b"".join(receiver.recv(2_000) for _ in range(-(-size // 1_316)))
    assert status == 0
    assert one.read_bytes() == other.read_bytes() == came
    told = json.loads(report.read_text())["outputs"]
    assert [each["name"] for each in told] == [str(one), str(other), address, Path(sys.executable).name]
    assert {(each["bytes"], each["dropped_bytes"]) for each in told} == {(size, 0)}


def test_one_output_that_breaks_is_status_5_when_the_others_have_all(
    neighbour: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "clip.ts"
    status = main(["--neighbour", neighbour, "--content", "news", "--output", str(file), "--player", "false",
                   "--duration", "1"])  # fmt: skip
    assert status == 5
    assert file.stat().st_size > 100 * 188
    assert "the player false ended with status 1; the other outputs go on" in capsys.readouterr().err


def test_each_decision_can_be_written_down(neighbour: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    status = main(["--neighbour", neighbour, "--content", "news", "--player", RECORD, "--duration", "0.1",
                   "--trace", str(file)])  # fmt: skip
    assert status == 0
    steps = [json.loads(line) for line in file.read_text().splitlines()]
    assert steps[0]["trace"] == 1
    assert steps[-1]["event"]["type"] == "Leaving"


def test_a_file_that_cannot_be_completed_is_status_5(
    neighbour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Writer.close

    def full(self: Writer, *, drain: bool = True, is_over: bool = False) -> Ended | None:
        real(self, drain=drain, is_over=is_over)
        return Ended("no space", StreamEndedError("no space"))

    monkeypatch.setattr(Writer, "close", full)
    status = main(["--neighbour", neighbour, "--content", "news", "--output", str(tmp_path / "a"),
                   "--duration", "0.1"])  # fmt: skip
    assert status == 5


def test_a_bug_is_in_the_report_too(neighbour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Session, "_check", bug)
    report = tmp_path / "report.json"
    status = main(["--neighbour", neighbour, "--content", "news", "--output", str(tmp_path / "a"),
                   "--report", str(report)])  # fmt: skip
    assert status == 1
    assert json.loads(report.read_text())["exit_status"] == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--content", ""], "at least one character"),
        (["--content", "é" * 128], "at most 255 bytes, not 256"),
        (["--content", "a\udcff"], "no UTF-8 text"),
        (["--content", "x", "--duration", "0"], "no number of seconds above 0"),
        (["--content", "x", "--wait", "nan"], "no number of seconds above 0"),
        (["--content", "x", "--latency", "-1"], "no number of milliseconds"),
        (["--content", "x", "--latency", "60001"], "no number of milliseconds"),
        (["--content", "x", "--give-up", "0"], "no number of seconds above 0"),
        (["--content", "x", "--give-up", "inf"], "no number of seconds above 0"),
        (["--content", "x", "--give-up", "soon"], "'soon' is no number of seconds"),
        (["--content", "x", "--wait", "1e308"], "no number of seconds above 0, at most 2000000"),
        (["--content", "x", "--latency", "9" * 5_000], "is no number of milliseconds from 0 to 60000"),
        (["--content", "x", "--parents", "٢"], "is no number of parents from 1 to 2"),
        (["--content=--"], "'--' is no value"),
        (["--content", "x", "--start", "now"], "invalid choice: 'now'"),
        (["--content", "x", "--log-format", "x"], "invalid choice: 'x'"),
        (["--content", "x", "--bootstrap", "10.0.8.10"], "has no port"),
        (["--content", "x", "--bootstrap", ":4000"], "has no host"),
        (["--content", "x", "--bootstrap", "10.0.8.10:0"], "out of range"),
        (["--content", "x", "--bootstrap", "10.0.8.10:4000"], "exclude each other"),
        (["--content", "x", "--parents", "3"], "no number of parents"),
        (["--content", "x", "--parents", "two"], "no number of parents"),
        (["--content", "x", "--output", "a.ts", "--output", "./a.ts"], "given twice"),
        (["--content", "x", *["--output", "-"] * 17], "16 at most"),
        (["--content", "x", "--segment", "60", "--output", "-"], "--segment: name the folder"),
        (["--content", "x", "--segment", "0", "--output", "a"], "no number of seconds above 0"),
        (["--content", "x", "--segment", "60", "--output", "/dev/null"], "wants a folder"),
        (["--content", "x", "--output", "udp://127.0.0.1"], "has no port"),
        (["--content", "x", "--output", "udp://:5000"], "no host"),
        (["--content", "x", "--output", "udp://1.2.3:5000"], "no IPv4 address"),
        (["--content", "x", "--output", "udp://127.0.0.1:0"], "out of range"),
        (["--content", "x", "--output", "udp://127.0.0.1:5000?ttl=0"], "ttl=0"),
        (["--content", "x", "--output", "udp://127.0.0.1:5000?size=1"], "no option 'size'"),
        (["--content", "x", "--output", "rtp://239.1.1.1:5000?iface=nowhere0"], "no such interface"),
        (
            ["--content", "x", "--output", "udp://127.0.0.1:5000?ttl=" + "9" * 5_000],
            "no number from 1 to 255",
        ),
        (["--content", "x", "--output", "udp://239.1.1.1:5000?iface=%00"], "no such interface"),
        (
            ["--content", "x", "--output", "udp://239.1.1.1:5000?iface=::1"],
            "no such interface or IPv4 address",
        ),
        (["--content", "x", "--output", "udp://[ff15::1]:5000?iface=::1"], "no interface of this name"),
        (["--content", "x", "--output", "udp://[fe80::1%nope]:5000"], "this machine has no interface 'nope'"),
        (["--content", "x", "--output", "udp://[fe80::1%²]:5000"], "this machine has no interface '²'"),
        (["--content", "x", "--output", "x" * 300], "File name too long"),
        (["--content", "x", "--player", "true", "--report", "x" * 300], "no such folder"),
        (["--content", "x", "--player", "true", "--neighbour", "[fe80::1%nope]:5000"], "no interface 'nope'"),
        (
            ["--content", "x", "--player", "true", "--neighbour", "[fe80::1%99999999999]:1"],
            "no interface '9999",
        ),
        (["--list", "--neighbour", "[fe80::1%nope]:5000"], "no interface 'nope'"),
        (["--content", "x", "--output", "udp://no.such.host.invalid:5000"], "no.such.host.invalid"),
        (["--content", "x", "--output", "srt://127.0.0.1:5000"], "udp:// and rtp://"),
        (["--content", "x", "--output", "/nonexistent/file"], "/nonexistent/file"),
        (["--content", "x", "--output", "/"], "directory"),
        (["--content", "x", "--player", "true", "--trace", "/nonexistent/file"], "--trace"),
        (["--content", "a\nb", "--player", "true"], "printable"),
        (["--content", "x", "--player", "true", "--report", "/nonexistent/file"], "no such folder"),
        (["--content", "x", "--player", "true", "--report", "/"], "name a file"),
        (["--content", "x", "--player", "true", "--media-ports", "9-1"], "--media-ports"),
        (["--content", "x", "--player", "'"], "--player"),
        ([], "--content"),
    ],
)
def test_what_cannot_be_used_is_status_2_and_said_in_one_line(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--neighbour", "127.0.0.1:1", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mcast-client: error: ")
    assert complaint in error
    assert error.count("\n") == 1


def test_without_a_display_there_must_be_an_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["--neighbour", "127.0.0.1:1", "--content", "x"]) == 2
    assert "no display" in capsys.readouterr().err


def test_a_name_of_255_bytes_is_a_name(neighbour: str) -> None:
    assert main(["--neighbour", neighbour, "--content", "x" * 255, "--player", "true"]) == 3
