"""The table of what is asked: it fits together, and it is told as it was measured."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from bench.relays import rates, searches
from bench.relays.contenders import Contender, Load, Running, Window
from bench.relays.main import main, other_node
from bench.relays.nodes import LEAST_SETTLE_SECONDS, MCAST, Node, settle_seconds
from bench.relays.profile import ThreadUse
from bench.relays.rates import RATES, highest
from bench.relays.report import figures, summary, told
from bench.relays.rounds import Measured, measure
from bench.relays.rows import NO_FAILED_TRY, ROWS, Row
from bench.relays.schedule import SIDE_ROUNDS, estimate
from bench.relays.schedule import turns as turns_of
from bench.relays.setting import Needs, Setting
from bench.relays.sources import Sources
from bench.relays.verdict import ROUNDS, Goal


@dataclass(frozen=True)
class Pretended:
    """A contender that does nothing."""

    name: str
    missing: str = ""

    @property
    def ready_seconds(self) -> float:
        return 10.0

    def lacking(self) -> str:
        return self.missing

    def running(self, setting: Setting, load: Load) -> AbstractContextManager[Running]:
        raise NotImplementedError


def row_of(turns: list[str], *goals: Goal, every_second: str = "") -> Row:
    def carry(contender: Contender, _: Setting, windows: int) -> Sequence[Window]:
        turns.append(contender.name)
        if contender.name == "broken":
            raise RuntimeError("it is broken")
        if contender.name == every_second and turns.count(every_second) % 2:
            raise RuntimeError("3 of 16 children have been dropped")
        profile = {"forward": ThreadUse(cpu_ms=80.0, switches=800.0)} if contender is MCAST else {}
        figures = {"CPU": 2.0 if contender is MCAST else 1.0, "Gbit/s": 1.0}
        return [Window(figures, profile=profile)] * windows

    return Row("a row", goals, carry=carry, compared="CPU", lives_on=True)


def measured(
    tmp_path: Path,
    turns: list[str],
    rounds: int,
    *names: str,
    missing: str = "",
    windows: int = 1,
    every_second: str = "",
) -> Measured:
    contenders: list[Contender] = [MCAST, Pretended("limit"), *map(Pretended, names)]
    contenders += [Pretended("absent", missing)] if missing else []
    goals = Goal(1.5, "CPU", reference="limit"), Goal(1.0, "CPU", reference="absent"), NO_FAILED_TRY
    row = row_of(turns, *goals, every_second=every_second)
    return measure(row, contenders, Sources(tmp_path), rounds, windows, seconds=0.0)


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


def test_the_quick_rows_need_no_program_of_others_and_keep_every_goal_beside_a_relay_in_c() -> None:
    quick = [row.quick() for row in ROWS if row.is_quick]
    assert {peer.name for row in quick for peer in row.peers} == {"limit", "single"}
    assert {goal.reference for row in quick for goal in row.goals} == {"", "limit", "single"}


def test_goals_are_judged_by_seven_rounds_but_for_a_long_row_and_one_without_chance() -> None:
    assert all(row.most_rounds == ROUNDS for row in ROWS)
    fewer = [row.name for row in ROWS if row.goals and row.is_once]
    assert fewer == ["memory after a minute of churn, 4 contents", "discovery, 1,000 nodes of degree 4"]


def test_what_must_never_happen_is_judged_by_the_worst_round() -> None:
    worst = {goal.figure for row in ROWS for goal in row.goals if goal.by_worst}
    assert worst == {
        "loss", "failed tries", "failed", "worst keyframe, ms", "guests fed", searches.FIRST, searches.LATE,
    }  # fmt: skip


def test_where_all_must_be_delivered_no_try_of_a_turn_may_fail() -> None:
    for row in ROWS:
        if {goal.figure for goal in row.goals} & {"loss", "failed", "guests fed"}:
            assert NO_FAILED_TRY in row.goals, row.name


def test_contenders_take_turns_and_those_whom_no_goal_names_a_few(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 5, "aside")
    assert turns[:6] == ["mcast", "limit", "aside", "limit", "aside", "mcast"]
    assert Counter(turns) == {"mcast": 5, "limit": 5, "aside": SIDE_ROUNDS}
    assert len(found.rounds["mcast"]) == 5


def test_a_turn_measures_several_rounds_and_the_last_one_what_is_left(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 5, "aside", windows=2)
    assert turns == ["mcast", "limit", "aside", "limit", "aside", "mcast", "mcast", "limit"]
    assert {name: len(each) for name, each in found.rounds.items()} == {"mcast": 5, "limit": 5, "aside": 3}


def test_rows_that_begin_anew_each_time_have_a_turn_for_each_round() -> None:
    for row in ROWS:
        several = [turn for turn in turns_of(row, [MCAST], 7, 2) if turn.windows > 1]
        assert bool(several) is row.lives_on, row.name


def test_how_long_a_row_takes_follows_its_turns() -> None:
    row, contenders = row_of([]), [Pretended("one"), Pretended("other")]
    once = estimate(row, contenders, rounds=1, windows=1, seconds=3.0)
    assert estimate(row, contenders, rounds=2, windows=1, seconds=3.0) == once + 2 * (10.0 + 3.0)
    assert estimate(row, contenders, rounds=2, windows=2, seconds=3.0) == once + 2 * 3.0


def test_a_node_settles_until_its_history_is_full_whatever_the_rate() -> None:
    assert settle_seconds(5.0) == 9.0
    assert LEAST_SETTLE_SECONDS <= settle_seconds(200.0) < 3.0, "16,384 datagrams are there in a second"
    assert settle_seconds(1000.0) == LEAST_SETTLE_SECONDS


def test_who_fails_twice_in_a_turn_is_told_and_asked_no_more(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 2, "broken")
    assert (turns.count("broken"), found.failed) == (2, {"broken": "it is broken"})
    assert "broken failed: it is broken" in told(found)


def test_who_drops_children_at_every_second_start_does_not_deliver_all(tmp_path: Path) -> None:
    turns: list[str] = []
    found = measured(tmp_path, turns, 4, windows=2, every_second="mcast")
    assert (turns.count("mcast"), found.failed, len(found.rounds["mcast"])) == (4, {}, 4)
    (verdict,) = [each for each in found.verdicts() if each.goal is NO_FAILED_TRY]
    assert verdict.is_missed
    assert verdict.told == "0.5 (0 to 1), provisional: 4 windows of 2 turns"
    assert "mcast: 2 failed tries: 3 of 16 children have been dropped" in told(found)
    (row,) = figures([found], "here")["rows"]
    assert row["failed_tries"] == {"mcast": ["3 of 16 children have been dropped"] * 2}


def test_a_try_of_another_contender_that_fails_is_told_and_no_fault_of_mcast(tmp_path: Path) -> None:
    found = measured(tmp_path, [], 2, every_second="limit")
    (verdict,) = [each for each in found.verdicts() if each.goal is NO_FAILED_TRY]
    assert verdict.is_met
    assert "limit: 2 failed tries" in told(found)


def test_a_table_tells_figures_who_was_skipped_and_the_verdicts(tmp_path: Path) -> None:
    found = measured(tmp_path, [], 1, missing="absent is not installed: apt-get install it")
    text = told(found)
    assert "mcast  2 (2 to 2)" in text
    assert "skipped: absent is not installed: apt-get install it" in text
    assert "MISSED CPU of mcast at most 1.5 x limit: 2 (2 to 2), provisional: 1 turn" in text
    assert "open   CPU of mcast at most 1 x absent" in text
    assert "threads of mcast (CPU ms a second, wake-ups a second): forward 80.0, 800" in text
    assert "MISSED" in summary([found])
    (row,) = figures([found], "here")["rows"]
    assert [(verdict["met"], verdict["open"] != "") for verdict in row["verdicts"]] == [
        (False, False),
        (False, True),
        (True, False),
    ]


def test_a_reference_that_loses_much_is_no_measure() -> None:
    goal = Goal(1.25, "CPU", reference="limit")
    found = Measured(Row("a row", (goal, Goal(0.5, "loss"))))
    found.rounds = {
        "mcast": [{"CPU": 1.0, "loss": 0.3}, {"CPU": 2.0, "loss": 0.3}],
        "limit": [{"CPU": 4.0, "loss": 0.06}, {"CPU": 1.0, "loss": 0.0}],
    }
    ratio, loss = found.verdicts()
    assert (ratio.is_missed, ratio.told) == (True, "2 (2 to 2), provisional: 1 turn")
    assert loss.told == "0.3 (0.3 to 0.3), provisional: 2 turns", "its own is not passed over"


def test_seven_windows_of_four_turns_are_told_as_what_they_are(tmp_path: Path) -> None:
    (ratio, *_) = measured(tmp_path, [], 7, windows=2).verdicts()
    assert (ratio.told, ratio.is_provisional) == ("2 (2 to 2), 7 windows of 4 turns", False)
    (quick, *_) = measured(tmp_path, [], 7, windows=4).verdicts()
    assert (quick.told, quick.is_provisional) == ("2 (2 to 2), provisional: 7 windows of 2 turns", True)


def test_the_highest_step_is_found_by_bisection() -> None:
    for last in (-1, 0, 7, 29):
        asked: list[int] = []

        def holds(step: int, last: int = last, asked: list[int] = asked) -> bool:
            asked.append(step)
            return step <= last

        assert highest(30, holds) == last
        assert len(asked) <= 5
    assert all(after / before <= 1.051 for before, after in pairwise(RATES))


def rate_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int, relay: float, feeding: float, *,
    too_much: tuple[float, float] = (0.5, 1.0),
) -> dict[str, float]:  # fmt: skip
    """Find the highest rate of a relay that loses beyond a step, while cores are so busy there.

    `too_much` is the loss there, and how many seconds of media come a second.
    """

    def carry(_: Contender, __: Setting, *, load: Load, trains: bool) -> Sequence[Window]:
        assert trains
        step, delivered = load.first, 16 * load.mbits / 1000
        busy = (
            {"cores": relay, "feeding core": feeding} if step > last else {"cores": 0.2, "feeding core": 0.5}
        )
        loss, played = too_much if step > last else (0.0, 1.0)
        return [Window({"Gbit/s": delivered, "loss": loss, **busy}, played)]

    monkeypatch.setattr(rates, "carry", carry)
    setting = Setting(tmp_path, Sources(tmp_path), Needs(), seconds=0.1)
    try:
        (window,) = rates.highest_rate(MCAST, setting, 1)
    finally:
        setting.close()
    return dict(window.figures)


def test_a_rate_at_which_the_feeding_core_is_busy_and_the_relay_is_not_is_the_feeds_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(relay: float, feeding: float, last: int = 7) -> float:
        return rate_found(tmp_path, monkeypatch, last, relay, feeding)[rates.FEED_LIMIT]

    assert limit(relay=0.32, feeding=0.97) == 1.0
    assert limit(relay=0.95, feeding=0.97) == 0.0, "the relay has no time either"
    assert limit(relay=0.32, feeding=0.6) == 0.0, "it loses although there is time"
    assert limit(relay=0.5, feeding=0.5, last=len(RATES)) == 1.0, "there is no higher rate"
    assert limit(relay=0.5, feeding=0.5, last=len(RATES) - 1) == 1.0
    assert limit(relay=0.95, feeding=0.5, last=len(RATES) - 2) == 0.0


def test_what_is_slowed_down_is_no_less_than_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for too_much in ((0.5, 1.0), (0.0, 0.95)):
        found = rate_found(tmp_path, monkeypatch, 7, 0.9, 0.5, too_much=too_much)
        assert found["Gbit/s"] == pytest.approx(16 * RATES[7] / 1000)


def test_the_goal_of_the_highest_rate_knows_of_the_feeds_limit() -> None:
    (goal,) = [goal for row in ROWS for goal in row.goals if goal.figure == "Gbit/s"]
    assert goal.capped_by == rates.FEED_LIMIT


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--row", "3 x 3"], "no row '3 x 3'; there are '8 x 16'"),
        (["--peer-binary", "srs"], "'srs' is not NAME=..."),
        (["--peer-binary", "vlc=/bin/true"], "no peer has a program 'vlc'; there are mediamtx, nginx, srs"),
        (["--peer-binary", "srs=/no/such/file"], "'/no/such/file' is no program"),
        (["--rounds", "0"], "--rounds: at least 1"),
        (["--windows", "0"], "--windows: at least 1"),
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
