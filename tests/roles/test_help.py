"""What `--help` shows of each program, at a terminal of 80 columns."""

import sys

import pytest

from mcast.roles import cli
from mcast.roles.bootstrap import top
from mcast.roles.bootstrap.main import PROGRAM as BOOTSTRAP
from mcast.roles.client.main import PROGRAM as CLIENT
from mcast.roles.node.main import PROGRAM as NODE
from mcast.roles.server.main import PROGRAM as SERVER

PROGRAMS = (BOOTSTRAP, top.PROGRAM, CLIENT, NODE, SERVER)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_help_fits_the_terminal_and_explains_each_option(program: cli.Command) -> None:
    parser = cli.parser_of(program)
    assert [line for line in parser.format_help().splitlines() if len(line) > 80] == []
    assert [action.option_strings for action in parser._actions if not action.help] == []


def test_options_of_one_name_are_explained_alike_in_all_programs() -> None:
    shared = ("--trace", "--media-ports", "--key-file", "--http-open", "--http-name")
    said = {
        name: {
            action.help
            for each in PROGRAMS
            for action in cli.parser_of(each)._actions
            if name in action.option_strings
        }
        for name in shared
    }
    assert {name: len(texts) for name, texts in said.items()} == dict.fromkeys(shared, 1)


def test_the_client_s_help_says_which_options_exclude_each_other() -> None:
    told = cli.parser_of(CLIENT).format_help()
    joining, what = (
        told.partition(f"\n{title}, one of:\n")[2].split("\n\n")[0] for title in ("where to join", "what")
    )
    assert [name for name in ("--neighbour", "--bootstrap") if f"  {name} " not in joining] == []
    assert [name for name in ("--content", "--list", "--http") if f"  {name} " not in what] == []


@pytest.mark.parametrize(
    ("told", "width"), [("120", 120), ("0", 80), ("wide", 80), ("", 80), ("9" * 5_000, 80)]
)
def test_help_is_as_wide_as_columns_says_or_80_where_nothing_does(
    told: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", told)
    monkeypatch.setattr(sys, "__stdout__", None)  # no terminal either
    longest = max(map(len, cli.parser_of(NODE).format_help().splitlines()))
    assert width - 10 < longest <= width
