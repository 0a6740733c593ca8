"""A headless Chromium, driven over its debugging pipe (Chrome DevTools Protocol) by the standard library."""

import base64
import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers import wait_until

PATIENCE = 60.0  # seconds: a busy machine starts a browser slowly
NAVIGATED = "Inspected target navigated or closed"


class NavigatedError(Exception):
    """The page that was asked has given way to another one before it could answer."""


class Browser:
    """One page of a browser process."""

    def __init__(self, process: "subprocess.Popen[bytes]", write: int, read: int) -> None:
        self._process, self._write, self._read = process, write, read
        self._numbers, self._data = itertools.count(1), b""
        self.errors: list[str] = []  # of the page's console, and of its scripts
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        """Open a page in a window of this size; what the one before has complained of is forgotten."""
        self.call("Page.navigate", url="about:blank")
        self.errors.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=width < 600,
        )  # fmt: skip
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is on the page, as JSON."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Wait until an expression is true on the page, which may be on its way to another one."""

        def is_true() -> bool:
            with contextlib.suppress(NavigatedError):
                return bool(self.evaluate(expression))
            return False

        wait_until(is_true, expression, timeout=PATIENCE)

    def click(self, selector: str) -> None:
        """Click the middle of an element, as a mouse does: whatever lies on top of it there is clicked."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        place = f"(({{ x, y, width, height }}) => ({{ x: x + width / 2, y: y + height / 2 }}))({box})"
        for kind in ("mousePressed", "mouseReleased"):
            middle = self.evaluate(place)
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **middle)

    def screenshot(self, file: Path) -> None:
        """Write what the page looks like as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: object) -> Any:
        """Call a method of the protocol on the page."""
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str = "", **parameters: object) -> Any:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == number:
                if told.get("error", {}).get("message") == NAVIGATED:
                    raise NavigatedError
                assert "error" not in told, told
                return told["result"]
            self._note(told)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._data:
            assert select.select([self._read], [], [], PATIENCE)[0], "the browser says nothing"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser has ended"
            self._data += data
        line, _, self._data = self._data.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        return told

    def _note(self, told: dict[str, Any]) -> None:
        match told:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.errors.append(str(details))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text, **more}}}:
                self.errors.append(f"{text} {more.get('url', '')}")
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error", "args": arguments}}:
                self.errors.append(str(arguments))


@contextlib.contextmanager
def browsing(directory: Path) -> Iterator[Browser]:
    """Give a browser with a fresh profile; it has ended afterwards."""
    our_read, its_write = os.pipe()
    its_read, our_write = os.pipe()

    def place_pipes() -> None:  # the browser reads descriptor 3 and writes 4
        read, write = os.dup(its_read), os.dup(its_write)
        os.dup2(read, 3)
        os.dup2(write, 4)

    process = subprocess.Popen(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--no-first-run",
            "--disable-dev-shm-usage", f"--user-data-dir={directory / 'profile'}", "about:blank",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
        preexec_fn=place_pipes, process_group=0,
    )  # fmt: skip
    os.close(its_read)
    os.close(its_write)
    try:
        yield Browser(process, our_write, our_read)
    finally:
        os.close(our_write)
        os.close(our_read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
