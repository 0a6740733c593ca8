"""Whatever nodes report, it is shown: in every form, without a fault, within bounds."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mcast.monitoring import documents
from mcast.monitoring.events import EventStore
from mcast.monitoring.metrics import metrics
from mcast.monitoring.registry import Registry
from mcast.monitoring.terminal import Screen
from mcast.monitoring.view import View
from mcast.wire.bootstrap import Health
from monitoring.overlays import Told, layout_of
from monitoring.test_metrics import samples
from wire.strategies import healths

LAYOUT = layout_of({"rp": ["n1"], "n1": []})


@given(st.lists(st.tuples(st.sampled_from(["rp", "n1"]), healths), max_size=6))
def test_whatever_nodes_report_is_told_as_json_as_metrics_and_as_text(told: list[tuple[str, Health]]) -> None:
    registry, events = Registry(), EventStore()
    for name in ("rp", "n1"):
        registry.join(name, b"", "127.0.0.1:1", 0.0)
    for name, report in told:
        registry.heard(name, report, 1.0)
        events.add(name, report.events)
    view = View(LAYOUT, registry.snapshot(), 2.0)
    overlay: Told = json.loads(json.dumps(documents.overlay(view), allow_nan=False))
    assert [node["name"] for node in overlay["nodes"]] == ["rp", "n1"]
    assert json.dumps(documents.catalogue(view), allow_nan=False)
    assert Screen(overlay, events.since(0)).lines()
    assert samples(metrics(view, events.counts()))['mcast_node_up{node="rp"}'] == 1
