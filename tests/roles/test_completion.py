"""Completion scripts: made from the options, and taken by the shells that are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mcast.roles import cli
from mcast.roles.bootstrap.main import PROGRAM as BOOTSTRAP
from mcast.roles.client.main import PROGRAM as CLIENT
from mcast.roles.client.main import main
from mcast.roles.completion import SHELLS, completion
from mcast.roles.node.main import PROGRAM as NODE
from mcast.roles.server.main import PROGRAM as SERVER

PROGRAMS = (BOOTSTRAP, CLIENT, NODE, SERVER)


def words_after(*line: str, place: Path) -> list[str]:
    """Return what bash offers for the last word of a line."""
    script = place / "completion.bash"
    script.write_text(completion(cli.parser_of(CLIENT), "bash"))
    words = " ".join(f"'{word}'" for word in line)
    ask = f"""source {script}
        compopt() {{ echo "compopt $*"; }}
        COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}
        _mcast_client; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()


def test_bash_offers_options_and_those_values_of_which_there_are_few(tmp_path: Path) -> None:
    assert words_after("mcast-client", "--bo", place=tmp_path) == ["--bootstrap"]
    assert words_after("mcast-client", "--start", "", place=tmp_path) == ["keyframe", "live"]
    assert words_after("mcast-client", "--log-level", "w", place=tmp_path) == ["warning"]


def test_bash_offers_files_where_a_file_is_meant_and_nowhere_else(tmp_path: Path) -> None:
    assert words_after("mcast-client", "--output", "", place=tmp_path) == []
    assert words_after("mcast-client", "--neighbour", "", place=tmp_path) == ["compopt", "+o", "default"]


def test_it_is_printed_whatever_else_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "fish"]) == 0
    assert "complete -c mcast-client -l content -x -d 'what to play'" in capsys.readouterr().out


def test_there_is_none_for_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "csh"]) == 2
    assert "'csh'" in capsys.readouterr().err


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_shell_understands_the_script_of_each_program(program: cli.Command, shell: str) -> None:
    script = completion(cli.parser_of(program), shell)
    assert all(f"{option}" in script for option in ("log-level", "version", "help"))
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
