"""A run's tables in Markdown, as they stand on the page."""

import json
from pathlib import Path

import pytest

from bench.relays.loads import COST, FEEDING, LOSS, RATE
from bench.relays.profile import Profile
from bench.relays.report import RowJson, RunJson, VerdictJson
from bench.relays.rows import FAILED_TRIES
from bench.relays.tables import main, told
from bench.relays.verdict import Figures


def verdict(
    figure: str, told: str, *, met: bool, of: str = "", absent: str = "", by_worst: bool = False
) -> VerdictJson:
    return VerdictJson(
        goal="", figure=figure, bound=1.25, reference=of, is_least=False, by_worst=by_worst, judged=2.0,
        rounds=7, turns=4, provisional=False, told=told, met=met, open=absent,
    )  # fmt: skip


def row(
    name: str, compared: str, rounds: dict[str, list[Figures]], *verdicts: VerdictJson, **failed: str
) -> RowJson:
    profile: dict[str, Profile] = {}
    if compared == COST:
        profile["mcast"] = {"forward": {"cpu_ms": 81.26, "switches": 799.7}}
    return RowJson(
        name=name, compared=compared, rounds=rounds, profile=profile, seconds=120.0, failed=dict(failed),
        failed_tries={"mcast": ["it went away"]} if failed else {},
        absent={"nginx": "apt-get install nginx"} if failed else {}, verdicts=list(verdicts),
    )  # fmt: skip


def load(cost: float, rate: float = 1.0) -> Figures:
    return {COST: cost, RATE: rate, FEEDING: 0.5, LOSS: 0.0, FAILED_TRIES: 0.0}


RUN = RunJson(
    machine="two cores",
    rows=[
        row(
            "8 x 16",
            COST,
            {
                "mcast": [load(0.25), load(0.5)],
                "limit": [load(0.125), load(0.2)],
                "slow": [load(0.5, 0.4)],
                "broken": [],
            },
            verdict(COST, "2.25 (2 to 2.5)", met=False, of="limit"),
            verdict(LOSS, "0 (0 to 0)", met=True, by_worst=True),
            broken="it is",
        ),
        row("1 x 100", COST, {"mcast": [load(0.2)], "limit": [load(0.1)]}),
        row(
            "a hop's delay",
            "p99, ms",
            {"mcast": [{"p50, ms": 0.1, "p99, ms": 2.0}], "limit": [{"p50, ms": 0.1, "p99, ms": 1.0}]},
        ),
        row("1 x 16, highest lossless rate", RATE, {"mcast": [{RATE: 9.0}], "limit": [{RATE: 10.0}]}),
        row("memory", "", {"mcast": [{"base, MiB": 20.5, FEEDING: 0.2, FAILED_TRIES: 0.0}]}),
    ],
)


def test_all_that_the_page_needs_is_told() -> None:
    text = told(RUN)
    for line in (
        "two cores; 5 rows in 10 minutes.",
        f"| 8 x 16 | {COST} | 2.25 (2 to 2.5) | ≤ 1.25 × limit | **missed** |",
        f"| 8 x 16 | {LOSS}, every round | 0 (0 to 0) | ≤ 1.25 | met |",
        "| row | mcast | limit | slow |",
        "| 8 x 16 | 0.375; × 2.25 (2 to 2.5) | 0.163 | 0.5; × 4 (4 to 4) |",
        "| 1 x 100 | 0.2; × 2 (2 to 2) | 0.1 |  |",
        "| row | contender | p50, ms | p99, ms | times the limit |",
        "| a hop's delay | mcast | 0.1 (0.1 to 0.1) | 2 (2 to 2) | 2 (2 to 2) |",
        "| 1 x 16, highest lossless rate | 9; × 0.9 (0.9 to 0.9) | 10 |",
        "| memory | mcast | base, MiB | 20.5 (20.5 to 20.5) |",
        "| memory | mcast | feeding core | 0.2 (0.2 to 0.2) |",
        "| 8 x 16 | forward | 81.3 | 800 |",
        "- 8 x 16: broken failed: it is",
        "- 8 x 16: mcast: 1 failed try: it went away",
        "- 8 x 16: skipped: apt-get install nginx",
        "- 8 x 16: slow delivers only 40%",
    ):
        assert line in text.splitlines(), line
    assert "| failed tries |" not in text


def test_a_table_without_figures_is_left_out() -> None:
    text = told(RunJson(machine="here", rows=[RUN["rows"][-1]]))
    assert text.count("**") == 2


def test_tables_come_from_the_file_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    main([str(tmp_path / "run.json")])
    assert capsys.readouterr().out == told(RUN) + "\n"
