"""What the tests of whole topologies share: prepared contents, topologies, networks, a display."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from machine import need_ffmpeg
from tools.demo.plan import LoopbackAddresses
from topology.contents import Stock
from topology.display import running_display
from topology.harness import LINE, Links, Topology, running
from topology.netns import Networks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def stock(shared_directory: Path) -> Stock:
    """The contents, made and prepared at most once in a session, whichever worker needs them first."""
    need_ffmpeg()
    return Stock(shared_directory / "contents")


Build = Callable[..., Topology]


@pytest.fixture
def build(stock: Stock, tmp_path: Path) -> Iterator[Build]:
    """Start topologies for one test: `build(LINE)`; all are ended and looked at behind it."""
    with ExitStack() as stack:

        def start(
            links: Links = LINE, contents: Sequence[str] = ("clip",), *, servers: int = 1, start: bool = True,
            addresses: LoopbackAddresses | None = None, standbys: Sequence[str] = (),
        ) -> Topology:  # fmt: skip
            topology = Topology(
                tmp_path / "topology", stock, links,
                contents=contents, servers=servers, addresses=addresses, standbys=standbys,
            )  # fmt: skip
            stack.enter_context(running(topology))
            return topology.start() if start else topology

        yield start


@pytest.fixture(scope="session")
def line_for_all(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """One line of nodes that many tests use one after the other."""
    contents = ("clip", "other", "short", "once", "still", "tone")
    topology = Topology(tmp_path_factory.mktemp("line"), stock, LINE, contents=contents)
    with running(topology):
        yield topology.start()


@pytest.fixture
def line(line_for_all: Topology, request: pytest.FixtureRequest) -> Iterator[Topology]:
    """The shared line with nobody watching, before the test and behind it."""
    failed = request.session.testsfailed
    line_for_all.wait_idle()
    yield line_for_all
    if request.session.testsfailed > failed:
        line_for_all.print_logs()
    line_for_all.end_clients()
    line_for_all.wait_idle()


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Network namespaces for one test."""
    with Networks() as networks:
        yield networks


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """An X display of the test's own."""
    with running_display(tmp_path) as name:
        yield name
