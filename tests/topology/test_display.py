"""ffplay itself, on a display of the test's own: a window appears, and it shows moving pictures."""

from pathlib import Path

import pytest

from tools.demo.processes import wait_until
from topology.display import close_windows, screenshot
from topology.harness import Topology
from topology.outside import children, command, exists


@pytest.mark.display
def test_ffplay_shows_moving_pictures_and_ends_with_its_client(
    line: Topology, display: str, tmp_path: Path
) -> None:
    empty = screenshot(tmp_path)
    client = line.client("n3", player=True, environment={"DISPLAY": display, "SDL_AUDIODRIVER": "dummy"})
    wait_until(lambda: screenshot(tmp_path) != empty, "a window")
    first = screenshot(tmp_path)
    wait_until(lambda: screenshot(tmp_path) not in (first, empty), "another picture")
    players = children(client.program.pid)
    assert ["ffplay" in command(pid) for pid in players] == [True]
    report = client.stop()
    assert not any(map(exists, players))
    assert report["lost_datagrams"] == 0
    line.wait_idle()


@pytest.mark.display
def test_closing_the_players_window_is_a_clean_stop(line: Topology, display: str, tmp_path: Path) -> None:
    empty = screenshot(tmp_path)
    client = line.client("n3", player=True, environment={"DISPLAY": display, "SDL_AUDIODRIVER": "dummy"})
    wait_until(lambda: screenshot(tmp_path) != empty, "a window")
    close_windows(display)
    report = client.finish()
    assert "player" in report["exit_reason"] or "ffplay" in report["exit_reason"]
    line.wait_idle(timeout=1.5)
