"""What went wrong with a source, in a line for people: the cause, and how to mend it.

ffmpeg says many things before it gives up, and its last line is seldom the cause ("Conversion failed!").
So its lines are searched for what is known to stop it; each cause has a mend of its own, as "give another
file" is no help to somebody whose disk is full.
"""

import errno
import re
from collections.abc import Sequence

from mcast.errors import ConfigError
from mcast.media.tools import how_to_install

ANOTHER_FILE = "give a file that ffplay can play"
REACHABLE = "check the address, and that its sender runs and lets this machine in"
READABLE = "let the user that runs mcast-server read it"
FREE_SPACE = "free some space, or give another place for the cache: --cache DIR"


class SourceError(ConfigError):
    """A source cannot be used. The text does not say whose it is: the caller knows."""

    def __init__(self, cause: str, mend: str = ANOTHER_FILE) -> None:
        super().__init__(cause)
        self.mend = mend


def missing_encoder(tool: str, name: str) -> str:
    """Return the complaint that this ffmpeg cannot encode, and what to install."""
    return f"{tool} has no encoder {name}; install an ffmpeg that has it: {how_to_install(whole=True)}"


def of_system(error: OSError) -> SourceError:
    """Return what the file system has against a source."""
    mends = {
        errno.ENOENT: "check the path; it is tried again when the file is there",
        errno.ENOTDIR: "check the path; it is tried again when the file is there",
        errno.EACCES: READABLE,
        errno.EPERM: READABLE,
        errno.EIO: "check the disk that it lies on",
        errno.ESTALE: "check the network drive that it lies on",
    }
    cause = "no such file" if error.errno == errno.ENOENT else str(error.strerror)
    return SourceError(cause, mends.get(error.errno or 0, ANOTHER_FILE))


def of_ffmpeg(lines: Sequence[str], source: str, status: int) -> SourceError:
    """Return why ffmpeg or ffprobe failed, from what it wrote to stderr."""
    for pattern, mend in _CAUSES:
        for line in lines:
            if pattern.search(line):
                what = "ffmpeg cannot write it" if mend in _WRITING else "ffmpeg cannot read it"
                return SourceError(f"{what}: {_bare(line, source)}", mend)
    telling = [line for line in lines if not _SUMMARY.search(line)]
    last = (telling or list(lines))[-1:] or [f"exit status {status}"]
    return SourceError(f"ffmpeg cannot read it: {_bare(last[0], source)}")


def _bare(line: str, source: str) -> str:
    """Leave out what the caller says anyway, and the addresses of ffmpeg's objects."""
    return _OBJECT.sub("", line).removeprefix(f"{source}: ")


_OBJECT = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\] *")
_ANOTHER_FFMPEG = f"install an ffmpeg that has it: {how_to_install(whole=True)}"
_WRITING = {FREE_SPACE, _ANOTHER_FFMPEG}
_SUMMARY = re.compile(r"^(Conversion failed|Exiting|Error opening (in|out)put file|\S+: Invalid data found)")
_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), mend)
    for pattern, mend in (
        (r"Unknown encoder|Encoder not found|encoder .* not found", _ANOTHER_FFMPEG),
        (
            r"Unknown decoder|Decoder not found|Decoder .* not found|Decoding requested, but no decoder",
            f"its codec is unknown to this ffmpeg; {_ANOTHER_FFMPEG}",
        ),
        (r"No space left|Disk quota", FREE_SPACE),
        (r"Permission denied|Operation not permitted", READABLE),
        (
            r"not on whitelist|Protocol not found",
            'make it a live input (live = true) with input_options = ["-protocol_whitelist",'
            ' "file,crypto,data,http,https,tcp,tls"]',
        ),
        (
            r"Connection refused|Connection timed out|Network is unreachable|No route to host|"
            r"resolve host|Name or service not known|Server returned|HTTP error|Connection reset",
            REACHABLE,
        ),
        (
            r"moov atom not found|Truncating|File ended prematurely|partial file|unspecified size",
            "the file is not whole: copy or record it again; it is tried again when it changes",
        ),
        (r"No such file or directory", "check the path; it is tried again when the file is there"),
    )
)
