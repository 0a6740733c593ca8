"""The demonstration from beginning to end: set up, record, check, tell.

The status is 0 if all four recordings are complete, 1 if not, and 2 if something is missing on this machine.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mcast import __version__
from tools.demo.check import problems_of, sent_by
from tools.demo.contents import NEWS, SPORT, make
from tools.demo.overlay import DemoOverlay
from tools.demo.plan import LINKS, SERVERS, VIEWERS, http_address
from tools.demo.table import Result, table
from tools.demo.tools import check_display, ensure_ffmpeg
from tools.interrupting import run_command

SECONDS = 9.0


def run(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; return its exit status."""
    options = _parser().parse_args(argv)
    return run_command("demo", lambda: _demo(options.directory, play=options.play, serve=options.serve))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mcast-demo",
        description="Videos from servers through an overlay of five nodes to four clients, on this machine.",
        epilog="example:\n  mcast-demo --play",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--play", action="store_true", help="open four ffplay windows instead of recording")
    way.add_argument(
        "--serve",
        action="store_true",
        help="run until Ctrl-C: the overlay and the contents in a browser",
    )
    parser.add_argument(
        "--directory", type=Path, default=Path("build/demo"), metavar="DIR",
        help="where contents, recordings and logs go (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"mcast-demo {__version__}")
    return parser


def _demo(directory: Path, *, play: bool, serve: bool) -> int:
    if play:
        check_display(os.environ)
    ensure_ffmpeg(("ffmpeg", "ffprobe", "ffplay") if play else ("ffmpeg", "ffprobe"))
    run_directory, cache = _fresh(directory / "run"), directory / "cache"
    print("demo: making two contents with ffmpeg", flush=True)
    sources = {picture.name: make(picture, directory / "contents") for picture in (NEWS, SPORT)}
    with DemoOverlay(run_directory, sources, cache, shown_at=http_address(8080) if serve else "") as overlay:
        overlay.prepare()
        began = time.monotonic()
        print(
            f"demo: starting a bootstrapper, {len(LINKS)} nodes (rp is the rendezvous point) "
            f"and {len(SERVERS)} servers; logs: {run_directory}",
            flush=True,
        )
        overlay.start()
        if play:
            return _play(overlay)
        if serve:
            return _serve(overlay)
        print(
            f"demo: {len(VIEWERS)} clients join one after the other, each records {SECONDS:g} s", flush=True
        )
        overlay.record_all(SECONDS)
    return _tell(overlay, cache, began)


def _play(overlay: DemoOverlay) -> int:
    print("demo: four windows; close them, or press Ctrl-C here, to end", flush=True)
    for viewer in VIEWERS:
        overlay.watch(viewer)
    overlay.show_until_all_end()
    overlay.end()
    for problem in overlay.problems:
        print(f"demo: {problem}", file=sys.stderr)
    return 1 if overlay.problems else 0


def _serve(overlay: DemoOverlay) -> int:
    gateway = overlay.serve(http_address(8081))
    print(
        f"\ndemo: the overlay, as it changes:  http://{overlay.shown_at}/\n"
        f"demo: the contents, click to play:  http://{gateway}/\n"
        "demo: Ctrl-C ends everything\n",
        flush=True,
    )
    for viewer in VIEWERS:
        overlay.watch(viewer, "--output", os.devnull)
    overlay.show_until_all_end()
    return 1  # none of them ends by itself


def _tell(overlay: DemoOverlay, cache: Path, began: float) -> int:
    sent = {name: sent_by(source, cache) for name, source in overlay.sources.items()}
    results = [
        Result(
            viewer.name, viewer.content, overlay.recording(viewer), overlay.report(viewer),
            problems_of(overlay.recording(viewer), overlay.report(viewer), sent[viewer.content], SECONDS),
        )
        for viewer in VIEWERS
    ]  # fmt: skip
    print(f"\n{table(results)}\n")
    for result in results:
        for problem in result.problems:
            print(f"demo: {result.client}: {problem}; log: {overlay.viewers[result.client].log}")
    for problem in overlay.problems:
        print(f"demo: {problem}")
    complete = sum(result.complete for result in results)
    how = "byte for byte what the server sent, nothing lost, doubled or reordered"
    verdict = how if complete == len(results) else f"see above; logs: {overlay.directory}"
    print(f"demo: {complete}/{len(results)} clients complete, {time.monotonic() - began:.1f} s: {verdict}")
    return 0 if complete == len(results) and not overlay.problems else 1


def _fresh(directory: Path) -> Path:
    """Return an empty directory: what an earlier demonstration left is gone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
