"""Outputs: complete files, one clear error, and nobody who writes ever waits."""

import fcntl
import os
import resource
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from helpers import PATIENCE, refuse_threads, wait_until
from mcast.errors import ConfigError, StreamEndedError, UnreachableError
from mcast.media.datagrams import DatagramOutput, Destination
from mcast.media.output import Writer, check_file, check_stdout, fifo_output, file_output, stdout_output
from mcast.media.player import Player, player_command
from mcast.media.stores import Descriptor, trim_file
from mcast.net.threads import CrashBox, NoThreadError
from media.source.transport import packet, pes

PACKET = b"\x47" + bytes(187)


@pytest.fixture
def crash() -> CrashBox:
    return CrashBox(threading.Event())


def test_file_is_complete_when_closed(tmp_path: Path, crash: CrashBox) -> None:
    path = tmp_path / "news.ts"
    path.write_bytes(b"old")
    output = file_output(path, crash)
    chunks = [bytes([0x47, index]) * 94 * 50 for index in range(256)]
    assert all(output.write(chunk) for chunk in chunks)
    assert output.close() is None
    assert path.read_bytes() == b"".join(chunks)
    assert output.close() is None
    assert not output.write(PACKET)


def test_a_place_for_a_recording_is_checked_without_touching_it(tmp_path: Path) -> None:
    older = tmp_path / "older.ts"
    older.write_bytes(b"old")
    check_file(older)
    check_file(tmp_path / "new.ts")
    assert [each.name for each in tmp_path.iterdir()] == ["older.ts"]
    assert older.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "complaint"), [(".", "directory"), ("nowhere/a.ts", "No such"), ("older.ts/a.ts", "No such")]
)
def test_where_there_can_be_no_recording_is_a_configuration_error(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "older.ts").touch()
    with pytest.raises(ConfigError, match=complaint):
        check_file(tmp_path / name)


def test_what_the_user_may_not_write_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(ConfigError, match="Permission denied"):
        check_file(tmp_path / "a.ts")


def test_a_terminal_is_no_place_for_a_transport_stream(
    monkeypatch: pytest.MonkeyPatch, crash: CrashBox
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for check in (check_stdout, lambda: stdout_output(crash)):
        with pytest.raises(ConfigError, match="is a terminal"):
            check()


def test_file_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path, crash: CrashBox) -> None:
    with pytest.raises(ConfigError, match=r"--output .*nowhere/news\.ts.*No such file"):
        file_output(tmp_path / "nowhere" / "news.ts", crash)


def test_full_disk_is_one_clear_error_and_leaves_whole_packets(tmp_path: Path, crash: CrashBox) -> None:
    path = tmp_path / "news.ts"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        output = file_output(path, crash)
        while output.ended() is None:
            output.write(PACKET * 7)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    ended = output.close()
    assert ended is not None
    assert isinstance(ended.error, StreamEndedError)
    assert f"cannot write to {path}" in str(ended.error)
    size = path.stat().st_size
    assert (size % 188, size) == (0, 10_000 - 10_000 % 188)


@pytest.mark.parametrize(("is_over", "pictures"), [(True, 2), (False, 1)])
def test_a_recording_ends_with_a_whole_picture_unless_the_content_is_over(
    tmp_path: Path, crash: CrashBox, is_over: bool, pictures: int
) -> None:
    picture = packet(start=True, body=pes(0)) + packet() * 6
    output = file_output(tmp_path / "news.ts", crash)
    output.write(picture * 2)
    output.close(is_over=is_over)
    assert (tmp_path / "news.ts").read_bytes() == picture * pictures
    assert output.written == len(picture) * pictures


def test_trimming_a_recording_writes_nothing_as_there_may_be_no_room() -> None:
    picture = packet(start=True, body=pes(0)) + packet() * 6
    fd = os.memfd_create("recording", os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, picture * 2 + PACKET[:100])
        fcntl.fcntl(
            fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE
        )  # as a full copy-on-write disk: no block is new
        assert trim_file(fd, os.fstat(fd).st_size) == len(picture)
        assert os.pread(fd, 1 << 20, 0) == picture
    finally:
        os.close(fd)


def test_reader_that_has_gone_is_the_users_end(crash: CrashBox) -> None:
    reading, writing = os.pipe()
    output = Writer(Descriptor(writing, "standard output"), crash)
    output.write(PACKET)
    assert os.read(reading, 188) == PACKET
    os.close(reading)
    output.write(PACKET)
    wait_until(output.ended)
    ended = output.close()
    assert ended is not None
    assert ended.error is None
    assert "standard output was closed" in ended.reason


def test_reader_that_reads_nothing_costs_memory_up_to_a_bound_and_no_time(
    crash: CrashBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcast.media.output.CLOSE_SECONDS", 2 * PATIENCE)  # for who waits for it
    reading, writing = os.pipe()
    output = Writer(Descriptor(writing, "pipe"), crash, max_queued=100_000)
    began = time.monotonic()
    for _ in range(1_000):
        output.write(PACKET * 7)
    assert output.dropped > 1_000_000
    assert output.dropped % 188 == 0
    assert output.close(drain=False) is None
    assert time.monotonic() - began < PATIENCE
    os.close(reading)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_player_gets_every_byte_and_may_end_by_itself_when_the_stream_is_over(
    tmp_path: Path, crash: CrashBox
) -> None:
    path = tmp_path / "got"
    player = Player(
        python(f"import sys,pathlib; pathlib.Path({str(path)!r}).write_bytes(sys.stdin.buffer.read())"), crash
    )
    for _ in range(100):
        assert player.write(PACKET * 70)
    assert player.ended() is None
    assert player.close() is None
    assert path.read_bytes() == PACKET * 7_000


def test_closed_player_is_the_users_end(crash: CrashBox) -> None:
    player = Player(python("import sys; sys.stdin.buffer.read(10)"), crash)

    def is_over() -> bool:
        player.write(PACKET)  # that it takes nothing may be seen before why
        return player.ended() is not None

    wait_until(is_over)
    ended = player.close()
    assert ended is not None
    assert (ended.error, "was closed" in ended.reason) == (None, True)


@pytest.mark.parametrize(
    ("code", "how"), [("raise SystemExit(3)", "status 3"), ("import os; os.kill(os.getpid(), 11)", "SIGSEGV")]
)
def test_player_that_fails_says_how(code: str, how: str, crash: CrashBox) -> None:
    player = Player(python(code), crash)
    wait_until(player.ended)
    ended = player.close()
    assert ended is not None
    assert isinstance(ended.error, StreamEndedError)
    assert how in ended.reason


def test_player_that_ignores_everything_is_killed(crash: CrashBox) -> None:
    player = Player(
        python("import signal,time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(99)"),
        crash,
    )
    wait_until(
        lambda: b"SigIgn" in Path(f"/proc/{player.pid}/status").read_bytes() and _ignores_term(player.pid)
    )
    player.write(PACKET * 10_000)
    began = time.monotonic()
    assert player.close(drain=False) is None
    assert time.monotonic() - began < 4.0


def _ignores_term(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return bool(int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16) >> 14 & 1)


@pytest.mark.ffmpeg
def test_player_is_ffplay_with_its_fast_options_where_there_is_a_display() -> None:
    arguments = player_command(None, "mcast: news", {"DISPLAY": ":0"})
    assert arguments[0].endswith("ffplay")
    assert arguments[-2:] == ["-i", "-"]
    assert "100000" in arguments
    assert "nobuffer" not in arguments


@pytest.mark.parametrize("environment", [{}, {"DISPLAY": ""}])
def test_without_a_display_it_says_what_to_do_instead(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"no display.*--output"):
        player_command(None, "news", environment)


def test_users_player_is_split_like_a_shell_does() -> None:
    assert player_command("cat --title='my news' -", "", {}) == ["cat", "--title=my news", "-"]
    for bad in ("", "  ", "mpv 'open"):
        with pytest.raises(ConfigError, match="--player"):
            player_command(bad, "", {})


def test_a_missing_player_is_noticed_before_anything_is_joined() -> None:
    with pytest.raises(ConfigError, match=r"--player: there is no program 'no-such-player': install it"):
        player_command("no-such-player -", "", {})


def test_without_threads_no_output_is_opened_and_nothing_is_left_of_it(
    tmp_path: Path, crash: CrashBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch)
    for opened in (
        lambda: file_output(tmp_path / "a.ts", crash),
        lambda: Player(python("import time; time.sleep(600)"), crash),
        lambda: DatagramOutput(Destination(("127.0.0.1", 9)), "udp://here", crash),
    ):
        with pytest.raises(NoThreadError):
            opened()
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text().split() == []
    monkeypatch.undo()
    file_output(tmp_path / "a.ts", crash).close()  # its lock is free again


def test_player_that_is_not_there_is_a_configuration_error(crash: CrashBox) -> None:
    with pytest.raises(ConfigError, match=r"--player.*no-such-player.*No such file"):
        Player(shlex.split("no-such-player -"), crash)


def test_an_older_recording_is_replaced_only_when_the_first_bytes_come(
    tmp_path: Path, crash: CrashBox
) -> None:
    kept = tmp_path / "kept.ts"
    kept.write_bytes(b"older" * 1000)
    file_output(kept, crash).close()
    assert kept.read_bytes() == b"older" * 1000
    output = file_output(kept, crash)
    output.write(bytes(188))
    output.close()
    assert kept.read_bytes() == bytes(188)


def test_a_player_is_not_waited_for_once_the_user_wants_to_go(crash: CrashBox) -> None:
    hurry = threading.Event()
    player = Player(python("import sys, time; sys.stdin.buffer.read(); time.sleep(600)"), crash, hurry=hurry)
    threading.Timer(0.2, hurry.set).start()
    assert player.close() is None  # which would have waited for it


def test_a_recording_is_one_writers_alone(tmp_path: Path, crash: CrashBox) -> None:
    path = tmp_path / "news.ts"
    first = file_output(path, crash)
    first.write(PACKET)
    for attempt in (lambda: check_file(path), lambda: file_output(path, crash)):
        with pytest.raises(ConfigError, match=r"--output .*news\.ts: another mcast records there"):
            attempt()
    first.close()
    assert path.read_bytes() == PACKET
    check_file(path)
    file_output(path, crash).close()


def test_what_is_no_file_may_have_several_writers(crash: CrashBox) -> None:
    null = Path("/dev/null")
    outputs = [file_output(null, crash) for _ in range(2)]
    check_file(null)
    for output in outputs:
        output.write(PACKET)
        assert output.close() is None


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def test_a_fifo_waits_for_its_reader_and_gets_every_byte(fifo: Path, crash: CrashBox) -> None:
    read: list[bytes] = []
    reader = threading.Timer(0.1, lambda: read.append(fifo.read_bytes()))
    reader.start()
    output = fifo_output(fifo, crash, 30, threading.Event())
    assert output is not None
    for _ in range(100):
        assert output.write(PACKET * 70)
    assert output.close() is None
    reader.join()
    assert read == [PACKET * 7_000]


def test_a_fifo_that_nobody_reads_is_given_up_in_time(fifo: Path, crash: CrashBox) -> None:
    with pytest.raises(UnreachableError, match=r"fifo: nobody reads this FIFO \(waited 0\.1 s\)"):
        fifo_output(fifo, crash, 0.1, threading.Event())


def test_a_user_who_wants_to_go_ends_the_wait_for_a_reader(fifo: Path, crash: CrashBox) -> None:
    hurry = threading.Event()
    threading.Timer(0.1, hurry.set).start()
    assert fifo_output(fifo, crash, 600, hurry) is None


def test_who_is_told_to_end_does_not_wait_long_for_a_reader_that_sleeps(
    crash: CrashBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcast.media.output.CLOSE_SECONDS", 600)
    reading, writing = os.pipe()
    hurry = threading.Event()
    output = Writer(Descriptor(writing, "pipe"), crash, hurry=hurry)
    output.write(PACKET * 1_000)
    hurry.set()
    assert output.close() is None
    os.close(reading)
