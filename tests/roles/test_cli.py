"""What all programs share, in processes of their own where signals and pipes are concerned."""

import argparse
import fcntl
import gc
import json
import logging
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers import FORGED, PATIENCE, Recorder, line_with, wait_until
from mcast import __version__, errors, eventlog
from mcast.config.key_file import read_key_file
from mcast.errors import McastError
from mcast.net.threads import OwnedThread
from mcast.roles import ending, logs
from mcast.roles.cli import Command, Process, address_option, peer_option, run
from mcast.roles.signals import Reloading
from mcast.wire.identity import Identity

ROOT = Path(__file__).parents[2]


def program(body: Callable[[argparse.Namespace, Process], int | None] = lambda *_: None) -> Command:
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--address", type=address_option)
        parser.add_argument("--neighbour", type=peer_option)
        parser.add_argument("--output")

    return Command("mcast-test", "A test.", "mcast-test --address 127.0.0.1:1", add_options, body)


@pytest.mark.parametrize(
    ("error", "status"),
    [(errors.ConfigError, 2), (errors.NotFoundError, 3), (errors.UnreachableError, 4),
     (errors.StreamEndedError, 5), (errors.WireError, 1)],
)  # fmt: skip
def test_an_error_for_the_user_is_one_line_and_its_status(
    error: type[McastError], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error("what\nand where")

    assert run(program(fail), []) == status
    assert capsys.readouterr().err == "mcast-test: error: what\\nand where\n"


def test_a_bug_is_a_traceback_in_the_log_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise KeyError("bug")

    assert run(program(fail), []) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("mcast-test: error: unexpected KeyError: 'bug'\n")


def test_a_crash_of_any_thread_ends_the_program_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError("bug")

    def body(_options: argparse.Namespace, process: Process) -> None:
        thread = OwnedThread("stumbler", fail, process.on_crash)
        thread.start()
        assert process.stop.wait(10)
        thread.join()

    assert run(program(body), []) == 1
    assert "Traceback" in (err := capsys.readouterr().err)
    assert "(stumbler)" in err


def test_a_crash_of_a_thread_that_nobody_owns_ends_the_program_with_status_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise KeyError("bug")

    def body(_options: argparse.Namespace, process: Process) -> None:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        assert process.stop.is_set()

    assert run(program(body), []) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--adress", "x"], "unrecognized arguments: --adress x"),
        (["--addr", "127.0.0.1:1"], "unrecognized arguments: --addr"),
        (["-addr", "127.0.0.1:1"], "unrecognized arguments: -addr"),
        (["--address"], "argument --address: expected one argument"),
        (["--address", "nonsense"], "argument --address: 'nonsense' has no port"),
        (["--neighbour", ":5000"], "argument --neighbour: ':5000' has no host"),
        (["--neighbour", "127.0.0.1:0"], "port 0 is out of range (1 to 65535)"),
        (["--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(program(), arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("mcast-test: error: ")
    assert complaint in err
    assert err.endswith("(see mcast-test --help)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--address", "h:1"], ["-address", "h:1"], ["-address=h:1"]])
def test_options_have_two_dashes_and_the_seeds_may_have_one(arguments: list[str]) -> None:
    seen: list[object] = []
    assert run(program(lambda options, _: seen.append(options.address)), arguments) == 0
    assert [str(address) for address in seen] == ["h:1"]


def test_a_dash_alone_is_a_value() -> None:
    seen: list[object] = []
    assert run(program(lambda options, _: seen.append(options.output)), ["--output", "-"]) == 0
    assert seen == ["-"]


def test_help_has_an_example_and_version_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(program(), ["--help"]) == 0
    assert "example:\n  mcast-test --address 127.0.0.1:1" in capsys.readouterr().out
    assert run(program(), ["--version"]) == 0
    assert capsys.readouterr().out == f"mcast-test {__version__}\n"


def test_the_process_is_tuned_while_the_program_runs_and_only_then() -> None:
    def tuning() -> tuple[float, int]:
        return round(sys.getswitchinterval(), 6), threading.stack_size()

    handlers = logging.getLogger().handlers[:]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before, inside = tuning(), []
    try:
        run(
            program(
                lambda *_: inside.append(
                    (tuning(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], gc.get_freeze_count())
                )
            ),
            [],
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert inside[0][0] == (0.0001, 256 * 1024)
    assert inside[0][1] >= min(limits[1], 65_536)
    assert inside[0][2] > 10_000  # objects that the collector does not look at: what was loaded
    assert gc.get_freeze_count() == 0
    assert (tuning(), logging.getLogger().handlers) == (before, handlers)


# Log lines


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("mcast.x", logging.INFO, "x.py", 1, message, (), None)
    made.threadName = "forward-news"
    for key, value in extra.items():
        setattr(made, key, value)
    return made


@pytest.fixture
def _spoken_by_n3() -> Iterator[None]:
    with logs.written_to_stderr() as lines, logs.configured("mcast-node", "info", "text", lines):
        logs.speak_as("n3")
        yield


@pytest.mark.usefixtures("_spoken_by_n3")
def test_a_line_of_text_says_who_speaks_and_about_what() -> None:
    line = logs.TextFormatter().format(
        record("n2 attached", peer="10.0.0.2:1", content="news", request=bytes(range(16)))
    )
    assert line.endswith("INFO    n3: [news] n2 attached (forward-news, peer 10.0.0.2:1, request 00010203)")


def test_a_content_that_is_named_already_is_not_named_twice() -> None:
    line = logs.TextFormatter().format(record("[news] n2 attached", content="news"))
    assert line.count("[news]") == 1


def test_until_a_program_knows_its_name_its_role_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    def body(*_: object) -> None:
        logging.getLogger("mcast.test").warning("hello")
        logs.speak_as("n3")
        logging.getLogger("mcast.test").warning("hello")

    assert run(program(body), []) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert " test: hello" in first
    assert " n3: hello" in second


@pytest.mark.parametrize("where", ["message", "content", "thread", "peer", "field"])
@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter("mcast-node")])
def test_what_a_peer_sends_cannot_forge_a_line_wherever_it_stands(
    where: str, formatter: logging.Formatter
) -> None:
    made = record(FORGED if where == "message" else "hello")
    if where == "thread":
        made.threadName = f"forward-{FORGED}"
    elif where == "field":
        made.__dict__.update(eventlog.event_extra("left", content=FORGED, reason=FORGED))
    else:
        setattr(made, where, FORGED)
    line = formatter.format(made)
    assert line.isprintable()
    assert "12:00:00.000 ERROR b" in line  # shown, where it cannot be taken for a line


def test_a_traceback_cannot_forge_a_line() -> None:
    made = record("oops")
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        made.exc_info = (type(error), error, None)
    first, *rest = logs.TextFormatter().format(made).splitlines()
    assert "oops" in first
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_cleaning_changes_nothing_that_json_says() -> None:
    entry = json.loads(logs.JsonFormatter("mcast-node").format(record(FORGED, content=FORGED)))
    assert (entry["message"], entry["content"]) == (FORGED, FORGED)


@pytest.mark.usefixtures("_spoken_by_n3")
def test_a_json_line_holds_the_same() -> None:
    made = record("a\nb", content="news", request=b"\1" * 16)
    entry = json.loads(logs.JsonFormatter("mcast-node").format(made))
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info",
        "program": "mcast-node",
        "speaker": "n3",
        "logger": "mcast.x",
        "thread": "forward-news",
        "message": "a\nb",
        "content": "news",
        "request": "01" * 16,
    }


def test_an_event_and_its_fields_stand_at_the_top_of_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    def body(*_: object) -> None:
        eventlog.note(
            logging.getLogger("mcast.test"), "joined", "joined by way of %s", "rp > n1",
            content="earth", path=(Identity.node("rp"), Identity.node("n1")), request=b"\1" * 16,
        )  # fmt: skip

    assert run(program(body), ["--log-format", "json"]) == 0
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["content"], entry["path"], entry["request"]) == (
        "joined", "earth", ["rp", "n1"], "01" * 16,
    )  # fmt: skip
    assert (entry["program"], entry["speaker"], entry["message"]) == (
        "mcast-test", "test", "joined by way of rp > n1",
    )  # fmt: skip


# The journal


def test_a_line_for_the_journal_has_its_priority_in_front_and_no_clock() -> None:
    assert logs.JournalFormatter().format(record("n2 attached", content="news")) == (
        "<6>mcast: [news] n2 attached (forward-news)"
    )


def test_each_line_of_a_traceback_has_the_priority_too_and_none_can_be_forged() -> None:
    made = record("oops")
    made.levelno = logging.CRITICAL
    try:
        raise ValueError(f"<0>{FORGED}")
    except ValueError as error:
        made.exc_info = (type(error), error, None)
    lines = logs.JournalFormatter().format(made).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("<2>") and line.isprintable() for line in lines)


def test_a_program_whose_stderr_is_the_journal_writes_for_it() -> None:
    script = (
        "import os, sys\nfound = os.fstat(2)\n"
        "os.environ['JOURNAL_STREAM'] = f'{found.st_dev}:{found.st_ino}'\n"
        + SCRIPT.replace("{body}", "raise __import__('mcast.errors').errors.ConfigError('no such file')")
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "<3>mcast-test: error: no such file\n")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "<4>test: hello (MainThread)"),
        (["--log-format", "text"], "WARNING test: hello (MainThread)"),
        (["--log-format", "json"], '"level": "warning"'),
    ],
)
def test_whoever_names_a_format_gets_it_wherever_the_lines_go(
    options: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "is_journal", lambda _: True)
    assert run(program(lambda *_: logging.getLogger("mcast.test").warning("hello")), options) == 0
    assert line in capsys.readouterr().err


def test_a_stream_is_the_journal_only_if_the_environment_names_that_very_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "stderr").open("w") as stream, (tmp_path / "other").open("w") as other:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert [logs.is_journal(each) for each in (stream, other, None)] == [True, False, False]
    assert not logs.is_journal(stream)  # closed


def test_a_key_file_with_a_mistake_costs_one_line_at_sighup_and_everything_else_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    for file in (bad, good):
        file.touch(mode=0o600)
        file.write_text("o" * 32)
    rings = [read_key_file(bad), read_key_file(good)]
    again = threading.Event()

    def body(_: object, process: Process) -> None:
        process.key_rings += rings
        process.on_hangup = again.set
        bad.write_text("")
        good.write_text("n" * 32)
        signal.raise_signal(signal.SIGHUP)
        assert again.wait(PATIENCE)

    assert run(program(body), []) == 0
    assert [ring.keys for ring in rings] == [(b"o" * 32,), (b"n" * 32,)]
    err = capsys.readouterr().err
    assert f"SIGHUP: the keys stay as they were: --key-file {bad}: no key in it" in err
    assert f"SIGHUP: --key-file {good} was read again: 1 of at most 2 keys" in err


def test_many_sighups_while_files_are_read_again_are_one_more() -> None:
    crash, reads, go_on = Recorder(), Recorder(), threading.Event()

    def read() -> None:
        reads(len(reads))
        assert go_on.wait(PATIENCE)

    with Reloading(read, crash) as reloading:
        reloading.ask()
        reads.wait_for(1)
        for _ in range(5):
            reloading.ask()
        go_on.set()
        reads.wait_for(2)
    assert (reads.calls, crash.calls) == ([0, 1], [])


# Real processes


SCRIPT = """
import argparse, sys, threading, time
from mcast.roles.cli import Command, run
def body(options, process):
    process.on_hangup = lambda: print("again", flush=True)
    print("ready", flush=True)
    {body}
sys.exit(run(Command("mcast-test", "A test.", "x", lambda parser: None, body), []))
"""

Spawn = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Run a body in a process of its own, until it says that it is ready."""
    processes: list[subprocess.Popen[str]] = []

    def start(body: str) -> "subprocess.Popen[str]":
        script = SCRIPT.replace("{body}", textwrap.indent(body, "    ").strip())
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        processes.append(process)
        line_with("ready", process, process.stdout)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sigint_and_sigterm_stop_in_order_with_status_0(spawn: Spawn, number: signal.Signals) -> None:
    process = spawn("process.stop.wait()\nprint('in order')")
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("in order\n", 0)
    assert f"{number.name}: stopping" in err


def test_a_body_that_does_not_stop_is_ended_at_once_by_a_second_signal(spawn: Spawn) -> None:
    process = spawn("import mcast.roles.ending as ending\nending.END_SECONDS = 600\nending.ECHO_SECONDS = 0\n"
                    "process.begun.set()\nprocess.stop.wait()\n"
                    "print('stopping', flush=True)\ntime.sleep(600)")  # fmt: skip
    process.send_signal(signal.SIGTERM)
    line_with("stopping", process, process.stdout)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "SIGINT again: ending at once" in err


def test_one_signal_that_comes_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, ends = [100.0], list[int]()
    monkeypatch.setattr(ending, "_end", ends.append)
    end = ending.Ending(stop := threading.Event(), threading.Event(), lambda: now[0])
    end.asked("SIGTERM")
    now[0] += ending.ECHO_SECONDS / 2
    end.asked("SIGTERM")
    assert (stop.is_set(), ends) == (True, [])
    now[0] += ending.ECHO_SECONDS
    end.asked("SIGTERM")
    assert ends == [1]
    end.over()


def test_below_timeout_which_signals_twice_a_program_ends_in_order() -> None:
    body = "process.begun.set()\n    process.stop.wait()\n    time.sleep(0.5)\n    print('in order')"
    with subprocess.Popen(
        ["timeout", "600", sys.executable, "-c", SCRIPT.replace("{body}", body)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    ) as timeout:  # fmt: skip
        try:
            line_with("ready", timeout, timeout.stdout)
            timeout.terminate()  # it hands the signal to its child, and then to the group
            out, err = timeout.communicate(timeout=PATIENCE)
        finally:
            timeout.kill()
    assert out == "in order\n", err


def test_a_body_that_hangs_is_ended_with_its_children_after_one_signal(spawn: Spawn) -> None:
    process = spawn("import subprocess, mcast.roles.ending as ending\nending.END_SECONDS = 0.2\n"
                    "child = subprocess.Popen(['sleep', '600'], process_group=0)\n"
                    "print(child.pid, flush=True)\nprocess.begun.set()\n"
                    "threading.Thread(target=time.sleep, args=[600], name='sleeper').start()\n"
                    "time.sleep(600)")  # fmt: skip
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "ending at once (threads: MainThread, signals, sleeper)" in err
    wait_until(lambda: not is_alive(child), "the child's end")


def test_a_program_that_hangs_before_it_has_begun_is_ended_with_status_0(
    spawn: Spawn, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "config")
    process = spawn(f"open({str(tmp_path / 'config')!r})")  # for which nobody writes
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "SIGTERM: stopping" in err


def test_a_disk_that_hangs_at_sighup_keeps_nobody_from_ending_the_program(spawn: Spawn) -> None:
    process = spawn("def hang():\n    print('reading', flush=True)\n    time.sleep(600)\n"
                    "process.on_hangup = hang\nprocess.begun.set()\nprint('hup', flush=True)\n"
                    "process.stop.wait()")  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "hup\n"
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "reading\n"
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "the thread reload has not ended within 0.5 s" in err


def test_a_program_that_prints_what_nobody_reads_is_ended_with_status_0(spawn: Spawn) -> None:
    process = spawn("from mcast.roles.cli import print_out\nprint_out('x' * 1_000_000)")
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    room = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)

    def waiting() -> int:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)

    wait_until(lambda: waiting() > room // 2, "the pipe to fill")
    process.terminate()
    assert process.wait(PATIENCE) == 0


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("hang", ["process.stop.wait()", "process.begun.set()\nprocess.stop.wait()"])
def test_a_reader_of_stderr_that_never_reads_stops_nothing(spawn: Spawn, hang: str) -> None:
    process = spawn(
        "import logging\nfor n in range(3000): logging.info('%d %s', n, 'x' * 1000)\n"
        f"print('done', flush=True)\n{hang}\nlogging.info('the last')"
    )
    line_with("done", process, process.stdout)  # though its pipe is full
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert process.stderr is not None
    assert 0 < process.stderr.read().count("\n") < 100  # what a pipe holds


def test_what_was_left_out_is_counted_and_said_when_somebody_reads_again(spawn: Spawn) -> None:
    process = spawn(
        "import logging\nfor n in range(3000): logging.info('%d %s', n, 'x' * 1000)\n"
        "print('done', flush=True)\nprocess.stop.wait()\n"
    )
    line_with("done", process, process.stdout)
    assert process.stderr is not None
    read = 0
    while "xxx" in (line := process.stderr.readline()):
        read += 1
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    missing = re.search(r"WARNING test: (\d+) lines were left out here", line)
    assert missing, line
    assert read + int(missing[1]) == 3000
    assert read > 500
    assert "SIGTERM: stopping" in err
    assert process.returncode == 0


def test_a_program_that_a_watchdog_aborts_shows_what_its_threads_were_at(spawn: Spawn) -> None:
    process = spawn(
        "asleep = threading.Event()\n"
        "threading.Thread(target=lambda: asleep.set() or time.sleep(600), daemon=True).start()\n"
        "asleep.wait()\n"
        "print('asleep', flush=True)\n"
        "time.sleep(600)"
    )
    line_with("asleep", process, process.stdout)  # a thread that only begins may be in between two frames
    process.send_signal(signal.SIGABRT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in err
    assert err.count("(most recent call first)") >= 3  # signals, lines, the sleepers


def test_sighup_is_heard_and_ends_nothing(spawn: Spawn) -> None:
    process = spawn("process.stop.wait()")
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
        assert line_with("again", process, process.stdout) == "again\n"
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_signals_in_quick_succession_never_deadlock_a_waiting_body(spawn: Spawn) -> None:
    process = spawn("while not process.stop.wait(0.0001): pass")
    for _ in range(300):
        process.send_signal(signal.SIGHUP)
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_reader_of_stderr_that_goes_away_disturbs_nothing(spawn: Spawn) -> None:
    process = spawn(
        "import logging\nprocess.stop.wait()\nfor _ in range(3): logging.error('x')\nprint('done')"
    )
    assert process.stderr is not None
    process.stderr.close()
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.read() == "done\n"
    assert process.wait(PATIENCE) == 0


def test_a_reader_of_stdout_that_goes_away_is_no_error() -> None:
    config = ROOT / "resources" / "configs" / "demo-layout.toml"
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [ROOT / "bin" / "mcast-bootstrap", "--config", config, "--check"],
            stdout=write, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def run_command(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)


@pytest.mark.parametrize("role", ["bootstrap", "node", "server", "client", "lab", "demo"])
def test_programs_run_from_a_bare_checkout_and_through_a_symlink(role: str, tmp_path: Path) -> None:
    script, link = ROOT / "bin" / f"mcast-{role}", tmp_path / "linked"
    link.symlink_to(script)
    for path in (script, link):
        done = run_command(sys.executable, "-E", "-S", path, "--help")  # nothing installed, no PYTHONPATH
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: ")


def test_the_module_runs_every_role() -> None:
    module = (sys.executable, "-m", "mcast")
    assert run_command(*module, "bootstrap", "--version").stdout == f"mcast-bootstrap {__version__}\n"
    assert "roles:" in run_command(*module).stdout
    unknown = run_command(*module, "relay")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)


ONE_HEAP = """
    import ctypes, re, sys, threading
    from pathlib import Path
    from mcast.roles.cli import Command, run

    def heaps():
        libc, file = ctypes.CDLL(None), Path(sys.argv[1])
        libc.fopen.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(libc.fopen(bytes(file), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        return len(re.findall("<heap nr=", file.read_text()))

    def body(options, process):
        kept, there = [], threading.Barrier(9)
        def work():
            kept.append(bytes(100_000))
            there.wait()
            there.wait()
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        there.wait()
        print(heaps())
        there.wait()
        for thread in threads:
            thread.join()

    sys.exit(run(Command("mcast-test", "", "", lambda parser: None, body), []))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such habit")
def test_many_threads_keep_their_memory_in_one_heap(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(ONE_HEAP), str(tmp_path / "heaps")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "1"
