"""The pages tell the truth: every module, thread, constant and message that they name is in the code."""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import mcast
from mcast.overlay.events import Feed

PACKAGE = Path(mcast.__file__).parent
TOP = Path(__file__).parents[1]
PAGES = (TOP / "README.md", TOP / "CHANGELOG.md", *sorted((TOP / "docs").glob("*.md")))
ARCHITECTURE = (TOP / "docs" / "architecture.md").read_text()
OPERATIONS = (TOP / "docs" / "operations.md").read_text()
SOURCES = {file: file.read_text() for file in sorted(PACKAGE.rglob("*.py"))}


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split(" | ")] if line.startswith("|") else []


def table(page: str, *head: str) -> list[list[str]]:
    """Return the rows of the tables with these columns; an empty first cell repeats the one above."""
    rows: list[list[str]] = []
    inside = False
    for line, below in pairwise([*page.splitlines(), ""]):
        if below.startswith("|--"):
            inside = cells_of(line) == list(head)
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            first = rows[-1][0] if line.startswith("| |") else ""
            rows.append([first, *cells_of(line[2:])] if first else cells_of(line))
    assert rows, f"no table is headed {' | '.join(head)}"
    return rows


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# Links


def anchors_of(page: str) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)  # a comment there is no heading
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!\w+://)(.*?)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors_of(target.read_text()), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_file_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"[\w./]*\w/\w+\.py\b", page.read_text())
    missing = [
        name for name in named if not any((root / name).exists() for root in (TOP, PACKAGE, PACKAGE.parent))
    ]
    assert missing == []


# Tables


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_of_a_table_stands_below_the_table_s_head(page: Path) -> None:
    """A row directly behind an empty line is no row for a reader of Markdown, unless it is a head."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = ["", *text.splitlines(), ""]
    alone = [
        row
        for before, row, below in zip(lines, lines[1:], lines[2:], strict=False)
        if row.startswith("|") and not before.startswith("|") and not re.match(r"\| ?--", below)
    ]
    assert alone == []


# Modules


def modules_of_the_package() -> set[str]:
    names = {".".join(("mcast", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in SOURCES}
    return {name for name in names if name.rpartition(".")[2] not in ("__init__", "__main__")}


def test_the_table_of_modules_names_each_module_of_the_package_once_and_no_other() -> None:
    rows = table(ARCHITECTURE, "where", "modules", "what they are")
    named = [f"{quoted(where)[0]}.{module}" for where, modules, _ in rows for module in quoted(modules)]
    assert sorted(named) == sorted(modules_of_the_package())


def test_every_class_and_module_of_the_page_on_the_architecture_exists() -> None:
    everything = "\n".join(SOURCES.values())
    classes = [word for word in quoted(ARCHITECTURE) if re.fullmatch(r"([A-Z][a-z]+){2,}", word)]
    threads = {"MainThread"}
    assert [word for word in classes if word not in threads and f"class {word}" not in everything] == []


def test_each_word_of_the_glossary_stands_in_the_module_that_it_names() -> None:
    for word, _, where in table(ARCHITECTURE, "word", "what it means", "where"):
        main = word.strip("*").partition(",")[0].split()[-1]
        texts = [(PACKAGE / file).read_text().lower() for file in quoted(where)]
        assert all(main.lower() in text for text in texts), word


def test_the_glossary_is_in_alphabetical_order_with_each_word_once() -> None:
    words = [row[0].strip("*").lower() for row in table(ARCHITECTURE, "word", "what it means", "where")]
    assert words == sorted(set(words))


# Threads


def thread_names() -> Iterator[str]:
    """Yield the fixed beginning of each name that the code gives to a thread."""
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            name: ast.expr | None = (
                node.args[0] if node.func.id in ("OwnedThread", "Worker", "Forwarder", "Pacer") else None
            )
            if isinstance(name, ast.JoinedStr):
                name = name.values[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def test_the_table_of_threads_names_each_thread_that_the_code_starts() -> None:
    on_the_page = [quoted(row[0]) for row in table(ARCHITECTURE, "thread", "in", "how many", "owner")]
    listed = {re.sub(r"[A-Z].*", "", name) for names in on_the_page for name in names}
    started = set(thread_names())
    assert {"decide", "reaper", "errands", "forward-"} <= started
    assert started <= listed
    others = {
        "",
        "watcher",
        "trace",
        "stdin",
        "fifo-",
        "control-",
        "control-accept",
        "control-entrance",
        "bootstrap-",
        "bootstrap-entrance",
        "bootstrap-accept",
        "ffmpeg-",
        "ffprobe-",
        "lines",
        "end-watch",
        "look-up-",
    }
    assert listed - started == others  # they are named by a variable, by the system, or daemons


# Constants


def constants(page: str, *head: str) -> list[tuple[str, str]]:
    """Return what is said of each constant of a table: its name, and its value."""
    column = head.index("in the code")
    return [(quoted(row[column])[0], row[column - 1]) for row in table(page, *head)]


FELT = constants(OPERATIONS, "what", "value", "in the code", "from when to when", "what follows")
BOUNDS = constants(ARCHITECTURE, "what", "bound", "in the code", "beyond it")


@pytest.mark.parametrize(("name", "told"), [*FELT, *BOUNDS], ids=lambda value: value.rpartition(".")[2])
def test_each_constant_on_a_page_has_the_value_that_the_code_gives_it(name: str, told: str) -> None:
    value = pkgutil.resolve_name(name)
    number, _, unit = told.replace(",", "").partition(" ")
    scale = 0.001 if name.endswith("_MS") else 1.0
    assert unit in ("", "s", "bytes", "datagrams", "bit/s")
    assert value * scale == pytest.approx(float(number))


def test_the_options_that_set_times_are_those_of_the_programs() -> None:
    rows = table(OPERATIONS, "option", "default", "what it bounds", "from when to when", "what follows")
    options = {word for row in rows for word in re.findall(r"--[\w-]+", row[0])}
    given = {word for text in SOURCES.values() for word in re.findall(r'"(--[\w-]+)"', text)}
    timed = {
        word
        for text in SOURCES.values()
        for word in re.findall(r'"(--[\w-]+)"[^)]*metavar="(?:SECONDS|MS|DAYS)"', text)
    }
    assert options <= given
    assert timed == options


# Messages


def test_each_message_in_the_table_of_troubles_is_one_that_the_code_writes() -> None:
    everything = "\n".join(SOURCES.values()).lower()
    for seen, _, _ in table(OPERATIONS, "you see", "it means", "do"):
        for message in quoted(seen):
            for piece in re.split(r"<.*?>|: ", message):
                words = piece.strip().lower()
                assert words in everything or words.upper() in Feed.__members__, f"{message}: {words!r}"


# The example


def test_the_example_in_readme_uses_the_public_api_as_it_is() -> None:
    (example,) = re.findall(
        r"^```python\n(.*?)^```$", (TOP / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    tree = list(ast.walk(ast.parse(example)))
    (call,) = [
        node for node in tree if isinstance(node, ast.Call) and ast.unparse(node.func) == "mcast.Subscription"
    ]
    used = [
        node for node in tree if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "subscription"
    ]
    assert {keyword.arg for keyword in call.keywords} <= set(inspect.signature(mcast.Subscription).parameters)
    assert [node.attr for node in used if not hasattr(mcast.Subscription, node.attr)] == []
