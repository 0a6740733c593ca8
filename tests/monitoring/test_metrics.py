"""Metrics as Prometheus wants them; its own tool is asked where it is installed."""

import re
import subprocess
from pathlib import Path

import pytest

from mcast.monitoring.metrics import metrics
from mcast.wire.identity import Identity
from monitoring.overlays import SCRIPT, MadeUp, large, stream, viewer
from tools.packages import find

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def samples(text: str) -> dict[str, float]:
    """Return each sample, as it stands there."""
    lines = [line for line in text.removesuffix("\n").split("\n") if not line.startswith("#")]
    found = [SAMPLE.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_each_figure_has_its_node_and_content(overlay: MadeUp) -> None:
    overlay.leave("n3")
    told = samples(metrics(overlay.view(), {"attached": 4}))
    assert told['mcast_node_up{node="n1"}'] == 1
    assert told['mcast_node_up{node="n3"}'] == 0
    assert told['mcast_node_received_datagrams_total{node="n1",content="news"}'] == 1000
    assert told['mcast_node_repaired_datagrams_total{node="n1",content="news"}'] == 3
    assert told['mcast_node_viewers{node="n2",content="news"}'] == 2
    assert told['mcast_node_nacks_total{node="n1",content="news"}'] == 5
    assert told['mcast_node_longest_gap_seconds{node="n1",content="news"}'] == 0.12
    assert told['mcast_node_delay_seconds{node="n2",content="news"}'] == 0.003
    assert told['mcast_parent_round_trip_seconds{node="n2",content="news",parent="n1"}'] == 0.002
    assert told['mcast_server_latency_seconds{server="10.0.0.1:7000"}'] == 0.0005
    assert told['mcast_events_total{event="attached"}'] == 4
    assert told['mcast_node_info{node="n1",kind="overlay",version="0.1.0"}'] == 1


def clocked(overlay: MadeUp) -> None:
    """Have n2 and its children tell their delays by clocks, too."""
    children = (viewer(1), Identity.node("n3"), viewer(2))
    delays = (4_000, 9_000, 4_250)
    told = stream("news", ("rp", "n1", "n2"), children, delay_us=3_500, delays_us=delays)
    overlay.report("n2", told)


def test_the_delay_by_clocks_is_that_of_the_node_and_of_its_latest_viewer(overlay: MadeUp) -> None:
    clocked(overlay)
    found = samples(metrics(overlay.view(), {}))
    assert found['mcast_node_clock_delay_seconds{node="n2",content="news"}'] == 0.0035
    assert found['mcast_node_viewer_clock_delay_seconds{node="n2",content="news"}'] == 0.00425
    assert 'mcast_node_clock_delay_seconds{node="n1",content="news"}' not in found


def test_every_family_has_its_help_and_type_before_its_samples_and_units_in_its_name(overlay: MadeUp) -> None:
    lines = metrics(overlay.view(), {"attached": 4}).splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    helped = {line.split()[2] for line in lines if line.startswith("# HELP")}
    names = [line.partition("{")[0] for line in lines if not line.startswith("#")]
    assert set(names) == set(kinds) == helped
    assert names == sorted(names, key=names.index)
    assert all(name.startswith("mcast_") for name in names)
    assert {name for name, kind in kinds.items() if kind == "counter"} == {
        name for name in kinds if name.endswith("_total")
    }


@pytest.mark.parametrize("name", ['a"b', "a\\b", 'a"} 1'])
def test_a_name_of_any_characters_stays_in_its_label(overlay: MadeUp, name: str) -> None:
    told = samples(metrics(overlay.view(), {name: 3}))
    assert [value for key, value in told.items() if key.startswith("mcast_events_total")] == [3]


def test_the_page_on_monitoring_names_each_metric_and_no_other(overlay: MadeUp) -> None:
    clocked(overlay)
    page = PAGE.read_text()
    named = set(re.findall(r"mcast_\w+", page))
    told = {name.partition("{")[0] for name in samples(metrics(overlay.view(), {"attached": 1}))}
    assert named == told


def promtool(*arguments: str, text: str = "") -> None:
    """Have Prometheus's own tool check something; it has nothing to complain of."""
    program = find("promtool")
    assert program is not None
    command = [program, "check", *arguments]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


@pytest.mark.promtool
def test_promtool_has_nothing_to_complain_of_in_the_metrics(overlay: MadeUp) -> None:
    clocked(overlay)
    for view in (overlay.view(), large(30, 100).view()):
        promtool("metrics", text=metrics(view, {"attached": 4, SCRIPT: 1}))


@pytest.mark.promtool
def test_promtool_has_nothing_to_complain_of_in_the_rules_on_the_page(tmp_path: Path) -> None:
    (rules,) = re.findall(r"^```yaml\n(groups:.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "rules.yml"
    file.write_text(rules)
    promtool("rules", str(file))
