"""An experiment's report: Markdown with tables and pictures, read in a directory of its own."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.experiments.svg import Svg


class ExperimentReport:
    """Collects a report's parts; `write` puts them into a directory."""

    def __init__(self, title: str) -> None:
        self._parts = [f"# {title}"]
        self._pictures: dict[str, Svg] = {}

    def heading(self, text: str) -> None:
        self._parts.append(f"## {text}")

    def paragraph(self, text: str) -> None:
        self._parts.append(text)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self._parts.append(markdown_table(head, rows))

    def picture(self, name: str, picture: Svg, text: str) -> None:
        """Show a picture; it becomes the file NAME.svg beside the report."""
        self._pictures[f"{name}.svg"] = picture
        self._parts.append(f"![{text}]({name}.svg)")

    def write(self, directory: Path) -> Path:
        """Write `report.md` and its pictures; return the report's path."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, picture in self._pictures.items():
            (directory / name).write_text(str(picture), encoding="utf-8")
        file = directory / "report.md"
        file.write_text("\n\n".join(self._parts) + "\n", encoding="utf-8")
        return file


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_line, (head, ["---"] * len(head), *rows)))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
