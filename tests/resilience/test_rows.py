"""Rows of `make resilience` once, in the lab: links that fail, which tests on one host cannot show.

Judged is what was recorded, not how fast something was noticed.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from helpers import PATIENCE
from machine import need_ffmpeg
from tools.resilience.case import Goals
from tools.resilience.cases import LINK_CUT
from tools.resilience.footage import SMALL
from tools.resilience.idle import around
from tools.resilience.running import run_case
from tools.resilience.setting import Setting

pytestmark = [pytest.mark.netns, pytest.mark.processes]


def test_no_packet_is_missing_when_the_link_of_a_relay_is_cut_without_a_word(tmp_path: Path) -> None:
    need_ffmpeg()
    goals = Goals(unbroken=False)  # a stop may be the busy machine's, and so may what is behind
    quick = replace(
        LINK_CUT, goals=goals, aftermath=1.0, mended=0.5, latency_ms=2000, picture=SMALL, behind=PATIENCE
    )
    row = run_case(quick, Setting(tmp_path, seed=8, runs=1, repeats=False))
    assert row.passed, row.problems


def test_no_packet_is_missing_when_the_way_around_a_relay_has_streamed_nothing_for_three_hops(
    tmp_path: Path,
) -> None:
    need_ffmpeg()
    goals = Goals(unbroken=False)
    quick = replace(around(3, viewers=4, loss=1.0), goals=goals, latency_ms=4000, behind=PATIENCE)
    row = run_case(quick, Setting(tmp_path, seed=8, runs=1, repeats=False))
    assert row.passed, row.problems
