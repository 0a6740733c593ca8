"""The table of what is asked: it fits together, and it is told as it was measured."""

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from bench.relays.contenders import Contender, Load, Running
from bench.relays.main import main, other_node
from bench.relays.nodes import MCAST, Node
from bench.relays.rates import RATES, highest
from bench.relays.report import figures, summary, told
from bench.relays.rounds import SIDE_ROUNDS, Measured, measure
from bench.relays.rows import ROWS, Row
from bench.relays.setting import Setting
from bench.relays.sources import Sources
from bench.relays.verdict import Figures, Goal


@dataclass(frozen=True)
class Pretended:
    """A contender that does nothing."""

    name: str
    missing: str = ""

    def lacking(self) -> str:
        return self.missing

    def running(self, setting: Setting, load: Load) -> AbstractContextManager[Running]:
        raise NotImplementedError


def row_of(turns: list[str], *goals: Goal) -> Row:
    def carry(contender: Contender, _: Setting) -> Figures:
        turns.append(contender.name)
        if contender.name == "broken":
            raise RuntimeError("it is broken")
        return {"CPU": 2.0 if contender.name == "mcast" else 1.0, "Gbit/s": 1.0}

    return Row("a row", goals, carry=carry, compared="CPU")


def measured(tmp_path: Path, turns: list[str], rounds: int, *names: str, missing: str = "") -> Measured:
    contenders: list[Contender] = [MCAST, Pretended("limit"), *map(Pretended, names)]
    contenders += [Pretended("absent", missing)] if missing else []
    goals = Goal(1.5, "CPU", reference="limit"), Goal(1.0, "CPU", reference="absent")
    return measure(row_of(turns, *goals), contenders, Sources(tmp_path), rounds, seconds=0.0)


def test_every_goal_is_about_contenders_of_its_row() -> None:
    for row in ROWS:
        here = {"mcast", *(peer.name for peer in row.peers)}
        named = {name for goal in row.goals for name in (goal.contender, goal.reference) if name}
        assert named <= here, row.name
        assert (row.carry is None) != (row.ask is None), row.name
        assert not (row.ask and row.peers), row.name


def test_rows_and_their_contenders_have_names_of_their_own() -> None:
    assert max(Counter(row.name for row in ROWS).values()) == 1
    for row in ROWS:
        assert max(Counter(peer.name for peer in row.peers).values(), default=1) == 1


def test_the_quick_rows_need_nobody_but_the_limit() -> None:
    quick = [row.quick() for row in ROWS if row.is_quick]
    assert quick
    assert {peer.name for row in quick for peer in row.peers} == {"limit"}
    assert {goal.reference for row in quick for goal in row.goals} <= {"", "limit"}


def test_contenders_take_turns_and_those_whom_no_goal_names_a_few(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 5, "aside")
    assert turns[:6] == ["mcast", "limit", "aside", "limit", "aside", "mcast"]
    assert Counter(turns) == {"mcast": 5, "limit": 5, "aside": SIDE_ROUNDS}
    assert len(found.rounds["mcast"]) == 5


def test_who_fails_twice_in_a_turn_is_told_and_asked_no_more(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 2, "broken")
    assert (turns.count("broken"), found.failed) == (2, {"broken": "it is broken"})
    assert "broken failed: it is broken" in told(found)


def test_a_table_tells_figures_who_was_skipped_and_the_verdicts(tmp_path: Path) -> None:
    found = measured(tmp_path, [], 1, missing="absent is not installed: apt-get install it")
    text = told(found)
    assert "mcast  2 (2 to 2)" in text
    assert "skipped: absent is not installed: apt-get install it" in text
    assert "MISSED CPU of mcast at most 1.5 x limit: 2 (2 to 2)" in text
    assert "open   CPU of mcast at most 1 x absent" in text
    assert "MISSED" in summary([found])
    (row,) = figures([found], "here")["rows"]
    assert [(verdict["met"], verdict["open"] != "") for verdict in row["verdicts"]] == [
        (False, False),
        (False, True),
    ]


def test_the_highest_step_is_found_by_bisection() -> None:
    for last in (-1, 0, 7, 29):
        asked: list[int] = []

        def holds(step: int, last: int = last, asked: list[int] = asked) -> bool:
            asked.append(step)
            return step <= last

        assert highest(30, holds) == last
        assert len(asked) <= 5
    assert all(after / before <= 1.051 for before, after in pairwise(RATES))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--row", "3 x 3"], "no row '3 x 3'; there are '8 x 16'"),
        (["--peer-binary", "srs"], "'srs' is not NAME=..."),
        (["--peer-binary", "vlc=/bin/true"], "no peer has a program 'vlc'; there are mediamtx, nginx, srs"),
        (["--peer-binary", "srs=/no/such/file"], "'/no/such/file' is no program"),
        (["--rounds", "0"], "--rounds: at least 1"),
    ],
)
def test_a_wrong_option_is_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_another_version_is_named_with_its_options() -> None:
    assert other_node("gather=/tmp/x --gather-ms 40") == Node("gather", Path("/tmp/x"), ("--gather-ms", "40"))
