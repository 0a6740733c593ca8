"""The files of a page, out of a package's folder: read once, and told apart by their content (ETag)."""

import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePosixPath

from mcast.web.request import Request, RequestError
from mcast.web.response import HTML, Response

KINDS = {
    ".html": HTML,
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class StaticFiles:
    """What lies in the folders `static` of some packages, under `/FILE`; `/` is `index.html`."""

    def __init__(self, *packages: str) -> None:
        """A later package's file replaces an earlier one's of the same name."""
        self._answers = {
            file.name: _answer(file.name, file.read_bytes())
            for package in packages
            for file in files(package).joinpath("static").iterdir()
            if PurePosixPath(file.name).suffix in KINDS
        }

    @property
    def names(self) -> Iterable[str]:
        """Return the names of all files."""
        return self._answers

    @property
    def size(self) -> int:
        """Return the bytes of all files: what a page weighs."""
        return sum(
            len(bytes(answer.body)) for answer in self._answers.values() if isinstance(answer.body, bytes)
        )

    def answer(self, request: Request) -> Response:
        """Return the file that is asked for. Raises RequestError if there is none."""
        name = request.parts[0] or "index.html"
        if len(request.parts) != 1 or name not in self._answers:
            raise RequestError(HTTPStatus.NOT_FOUND, f"there is nothing at {request.path}")
        return self._answers[name]


def _answer(name: str, data: bytes) -> Response:
    tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
    # no-cache: a browser asks each time whether it is the same, and a new version is seen at once.
    return Response(
        data, KINDS[PurePosixPath(name).suffix], headers={"ETag": tag, "Cache-Control": "no-cache"}
    )
