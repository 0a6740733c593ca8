"""The scripts for bash, zsh and fish, which are made from the options themselves."""

import argparse
import contextlib
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import PATIENCE, wait_until
from mcast.roles import cli
from mcast.roles.bootstrap import main as bootstrap
from mcast.roles.bootstrap.main import PROGRAM as BOOTSTRAP
from mcast.roles.client.main import PROGRAM as CLIENT
from mcast.roles.client.main import main
from mcast.roles.completion import completion
from mcast.roles.node.main import PROGRAM as NODE
from mcast.roles.server.main import PROGRAM as SERVER

PROGRAMS = (BOOTSTRAP, CLIENT, NODE, SERVER)
CASES: tuple[tuple[str, list[str]], ...] = (
    ("mcast-client --bo", ["--bootstrap"]),
    ("mcast-client --start ", ["keyframe", "live"]),
    ("mcast-client --log-level w", ["warning"]),
    ("mcast-bootstrap to", ["top"]),
    ("mcast-bootstrap --conf", ["--config"]),
    ("mcast-bootstrap --config file to", []),
    ("mcast-bootstrap top --http-u", ["--http-url"]),
    ("mcast-bootstrap top --on", ["--once"]),
    ("mcast-bootstrap top --conf", []),
    ("mcast-bootstrap top --log-level w", ["warning"]),
)
"""A line, and what is offered for its last word."""


def script(program: cli.Command, shell: str) -> str:
    return completion(cli.parsers_of(program), shell)


def script_for(line: str, shell: str, place: Path) -> Path:
    """Write the script of the program that a line begins with."""
    (program,) = [each for each in PROGRAMS if each.name == line.split()[0]]
    file = place / f"completion.{shell}"
    file.write_text(script(program, shell))
    return file


def answer(shell: str, text: str) -> list[str]:
    done = subprocess.run([shell, "-c", text], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def words_of_bash(line: str, place: Path) -> list[str]:
    words = " ".join(f"'{word}'" for word in line.split(" "))
    return answer("bash", f"""source {script_for(line, "bash", place)}
        compopt() {{ echo "compopt $*"; }}
        COMP_WORDS=({words}); COMP_CWORD={len(line.split(" ")) - 1}
        $(complete -p | grep -o '_mcast[^ ]*') && [ "$COMPREPLY" ] && printf '%s\\n' "${{COMPREPLY[@]}}"
        true""")  # fmt: skip


@pytest.mark.parametrize(("line", "offered"), CASES)
def test_bash_offers_options_words_and_those_values_of_which_there_are_few(
    line: str, offered: list[str], tmp_path: Path
) -> None:
    assert words_of_bash(line, tmp_path) == offered


@pytest.mark.parametrize("line", ["mcast-client --output ", "mcast-bootstrap top --http-key-file "])
def test_bash_offers_files_where_a_file_is_meant(line: str, tmp_path: Path) -> None:
    assert words_of_bash(line, tmp_path) == []


@pytest.mark.parametrize("line", ["mcast-client --neighbour ", "mcast-bootstrap top --http-url "])
def test_bash_offers_no_files_where_none_is_meant(line: str, tmp_path: Path) -> None:
    assert words_of_bash(line, tmp_path) == ["compopt +o default"]


@pytest.mark.shells
@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish_offers_the_same_words_as_the_others(line: str, offered: list[str], tmp_path: Path) -> None:
    ask = f"source {script_for(line, 'fish', tmp_path)}; complete -C '{line}'"
    assert [each.partition("\t")[0] for each in answer("fish", ask)] == offered


@pytest.mark.shells
@pytest.mark.parametrize(
    ("line", "has", "has_not"),
    [
        ("mcast-bootstrap ", ["1: :(top)", "*--config["], ["*--http-url["]),
        ("mcast-bootstrap top ", ["*--http-url[", "*--once["], ["1: :(top)", "*--config["]),
        ("mcast-client ", ["*--content[", ":(keyframe live)"], ["1: :("]),
    ],
)
def test_zsh_is_told_what_belongs_to_the_word(
    line: str, has: list[str], has_not: list[str], tmp_path: Path
) -> None:
    words = " ".join(f"'{word}'" for word in line.split(" "))
    function = f"_{line.split()[0].replace('-', '_')}"
    ask = f"""compdef() {{ }}; _arguments() {{ print -l -- "$@" }}
        source {script_for(line, "zsh", tmp_path)}; words=({words}); CURRENT=$#words; {function}"""
    told = "\n".join(answer("zsh", ask))
    assert [each for each in has if each not in told] == []
    assert [each for each in has_not if each in told] == []


def test_bash_completes_at_a_terminal(tmp_path: Path) -> None:
    file = script_for("mcast-bootstrap", "bash", tmp_path)
    with at_a_terminal("bash", "--norc", "--noprofile", "-i") as terminal:
        os.write(terminal, f"bind 'set enable-bracketed-paste off'; source {file}; PS1=re''ady:\n".encode())
        read_until(terminal, "ready:")
        os.write(terminal, b"mcast-bootstrap to\t--http-u\t")
        read_until(terminal, "mcast-bootstrap top --http-url ")


@contextlib.contextmanager
def at_a_terminal(*command: str) -> Iterator[int]:
    """Run a command at a terminal of its own; give our end of it."""
    ours, its = pty.openpty()
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    os.set_blocking(ours, False)
    try:
        yield ours
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)


def read_until(terminal: int, text: str) -> None:
    said = b""

    def is_there() -> bool:
        nonlocal said
        with contextlib.suppress(BlockingIOError):
            said += os.read(terminal, 65_536)
        return text in said.decode(errors="replace")

    wait_until(is_there, text)


def test_it_is_printed_whatever_else_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "fish"]) == 0
    assert "complete -c mcast-client -l content -x -d 'what to play'" in capsys.readouterr().out


def test_top_prints_the_script_of_its_whole_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["top", "--print-completion", "bash"]) == 0
    assert capsys.readouterr().out == script(BOOTSTRAP, "bash")


def test_another_shell_has_no_completion_and_asking_for_it_is_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--print-completion", "csh"]) == 2
    assert "'csh'" in capsys.readouterr().err


def names_of(parser: argparse.ArgumentParser) -> list[str]:
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


@pytest.mark.shells
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_shell_understands_the_script_of_each_program(program: cli.Command, shell: str) -> None:
    text = script(program, shell)
    names = [name for parser in cli.parsers_of(program) for name in names_of(parser)]
    assert [name for name in names if name.removeprefix("--") not in text] == []
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
