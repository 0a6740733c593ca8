"""The pictures: XML that holds what it should, whatever the figures are."""

import re
from xml.etree import ElementTree

import pytest

from tools.experiments.branches import Branch
from tools.experiments.line_picture import Line, draw_lines
from tools.experiments.map_picture import FILL, Badge, Map, draw_map, short_options
from tools.experiments.rate_picture import Mark, Row, bursts, draw_rates, full_height
from tools.experiments.svg import Svg
from tools.experiments.tally import Rate
from tools.lab.counters import Flow
from tools.lab.options import LinkOptions
from tools.lab.topology import Scenario

NAMESPACE = "{http://www.w3.org/2000/svg}"


def elements(picture: Svg, name: str) -> list[ElementTree.Element]:
    text = str(picture)
    assert not re.search(r"\b(nan|inf)\b", text)
    return [*ElementTree.fromstring(text).iter(NAMESPACE + name)]


def texts(picture: Svg) -> list[str]:
    return ["".join(element.itertext()) for element in elements(picture, "text")]


def test_text_and_attributes_are_escaped() -> None:
    picture = Svg(100, 50, 'a < b & "c"')
    picture.text((1, 2), "x < y & z", id='"quoted" <')
    (element,) = elements(picture, "text")
    assert element.text == "x < y & z"
    assert element.get("id") == '"quoted" <'
    assert elements(picture, "title")[0].text == 'a < b & "c"'


def test_numbers_are_short_and_what_is_none_is_left_out() -> None:
    picture = Svg(100, 50, "t")
    picture.line((1.0, 2.25), (3, 4), stroke_width=None)
    assert '<line x1="1" y1="2.2" x2="3" y2="4"/>' in str(picture)


def test_a_map_shows_every_node_and_what_links_do(big: Scenario) -> None:
    flow = Flow("s1-r1", "s1", "r1")
    picture = draw_map(
        Map(
            big, {"s1": "server", "rp": "rendezvous"}, [Branch("earth", "s1", "rp", (flow,))],
            {flow: Badge("1.00×", "unicast 4×")}, "Title", "Subtitle", "Footer",
        )
    )  # fmt: skip
    shown = texts(picture)
    names = {device.name for device in big.devices} | {network.name for network in big.networks}
    assert names <= set(shown)
    assert {"Title", "Subtitle", "Footer", "1.00×", "unicast 4×", "20 Mbit/s, 5 ms"} <= set(shown)
    assert len(elements(picture, "polygon")) == 1  # one arrow's head
    assert (
        sum(circle.get("fill") == FILL["server"] for circle in elements(picture, "circle")) == 2
    )  # and legend


def test_streams_in_both_directions_of_a_link_do_not_hide_each_other(simple: Scenario) -> None:
    there, back = Flow("r1-r2", "r1", "r2"), Flow("r1-r2", "r2", "r1")
    tree = [Branch("moon", "r1", "r2", (there,)), Branch("moon", "r2", "r1", (back,))]
    heads = elements(draw_map(Map(simple, {}, tree, {}, "t", "s")), "polygon")
    tips = [head.get("points", "").split()[0].split(",")[0] for head in heads]
    assert len(set(tips)) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (LinkOptions(), ""),
        (LinkOptions(delay_us=500_000, rate=256_000), "256 kbit/s, 500 ms"),
        (LinkOptions(loss=0.5, rate=10_000_000, delay_us=1500), "10 Mbit/s, 1.5 ms, 0.5 % loss"),
    ],
)
def test_options_are_told_in_few_words(options: LinkOptions, text: str) -> None:
    assert short_options(options) == text


def test_rates_fill_their_rows_and_bursts_rise_above() -> None:
    steady = [Rate(float(at), 1e6) for at in range(1, 21)]
    row = Row("a > b", [*steady[:4], Rate(5.0, 9e6), Rate(6.0, 8e6), *steady[6:]])
    assert full_height([row]) == 1.6e6
    assert [[rate.at for rate in run] for run in bursts(row.rates, 1.6e6)] == [[5.0, 6.0]]
    picture = draw_rates("Rates", [row], [Mark(2.0, "c1 joins")], 0.0, 20.0)
    assert {"a > b", "c1 joins", "9.0", "1.75"} <= set(texts(picture))


def test_rates_without_any_traffic_can_be_drawn() -> None:
    rows = [Row("silent", [Rate(1.0, 0.0)]), Row("never seen", [])]
    assert {"silent", "never seen"} <= set(texts(draw_rates("t", rows, [], 0.0, 1.0)))


def test_lines_have_a_point_for_each_measurement() -> None:
    lines = [Line("latency", "#000000", [(0.0, 0.8), (1.0, 1006.0)]), Line("none", "#111111", [])]
    picture = draw_lines("Latency", "ms", lines, [Mark(0.5, "moved")], 0.0, 2.0)
    assert len(elements(picture, "circle")) == 2
    assert {"0.1", "10000", "moved", "latency", "ms"} <= set(texts(picture))
