"""SIGHUP has who serves HTTP read `--http-key-file` again: keys change, and nothing is restarted."""

import contextlib
import re
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tools.demo.processes import ProgramProcess, role_command

OLD, NEW = "the-key-until-today", "the-key-from-today-on"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.touch(mode=0o600)
    file.write_text(OLD)
    return file


@pytest.fixture(params=["page", "gateway"])
def program(request: pytest.FixtureRequest, tmp_path: Path, key_file: Path) -> Iterator[ProgramProcess]:
    """A bootstrapper with its page, or a client as a gateway."""
    layout = tmp_path / "layout.toml"
    layout.write_text('rendezvous = "rp"\n[nodes.rp]\naddress = "127.0.0.1:5000"\n')
    if request.param == "page":
        options = ["bootstrap", "--address", "127.0.0.1:0", "--config", str(layout)]
    else:
        options = ["client", "--neighbour", "127.0.0.1:1"]
    options += ["--http", "127.0.0.1:0", "--http-key-file", str(key_file)]
    program = ProgramProcess("http", role_command(*options), tmp_path / "log")
    try:
        program.wait_for_text("http://")
        yield program
        assert program.stop() == 0
    finally:
        program.kill()


def shown(program: ProgramProcess, header: str, value: str) -> tuple[int, str]:
    """Return with which status a page is given to who shows something, and the cookie that is set."""
    (address,) = re.findall(r"http://([\d.:]+)", program.text())
    with contextlib.closing(HTTPConnection(address, timeout=30)) as client:
        client.request("GET", "/base.css", headers={header: value})
        answer = client.getresponse()
        answer.read()
        return answer.status, (answer.headers["Set-Cookie"] or "").partition(";")[0]


def statuses(program: ProgramProcess) -> tuple[int, int]:
    """Return what is answered to the old and to the new key."""
    old, new = (shown(program, "Authorization", f"Bearer {key}")[0] for key in (OLD, NEW))
    return old, new


def read_again(program: ProgramProcess, key_file: Path, text: str, told: str) -> None:
    key_file.write_text(text)
    program.send(signal.SIGHUP)
    program.wait_for_text(told)


@pytest.mark.processes
def test_sighup_changes_the_key_of_http_over_and_cookies_of_the_old_one_end(
    program: ProgramProcess, key_file: Path
) -> None:
    status, cookie = shown(program, "Authorization", f"Bearer {OLD}")
    assert (status, statuses(program)) == (200, (200, 401))
    read_again(program, key_file, f"{OLD}\n{NEW}\n", f"{key_file} was read again: 2 of at most 2 keys")
    assert (statuses(program), shown(program, "Cookie", cookie)[0]) == ((200, 200), 200)
    read_again(program, key_file, NEW, f"{key_file} was read again: 1 of at most 2 keys")
    assert (statuses(program), shown(program, "Cookie", cookie)[0]) == ((401, 200), 401)
    read_again(program, key_file, "", "the keys stay as they were: --http-key-file")
    assert statuses(program) == (401, 200)
