"""Two rows of `make resilience` once, in the lab: what other tests do on one host, with links that fail.

Judged is what was recorded, not how fast something was noticed.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from machine import need_ffmpeg
from tools.resilience.case import Case, Goals
from tools.resilience.cases import LINK_CUT, LINK_DROPS
from tools.resilience.running import run_case
from tools.resilience.setting import Setting

pytestmark = [pytest.mark.netns, pytest.mark.processes]


@pytest.mark.parametrize("case", [LINK_CUT, LINK_DROPS], ids=lambda case: case.name)
def test_no_packet_is_missing_whatever_a_link_does(case: Case, tmp_path: Path) -> None:
    need_ffmpeg()
    quick = replace(case, goals=Goals(), aftermath=1.0, mended=0.5, latency_ms=2000)
    row = run_case(quick, Setting(tmp_path, seed=8, runs=1))
    assert row.passed, row.problems
