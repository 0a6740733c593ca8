"""The pages tell the truth: every module, thread, constant and message that they name is in the code."""

import ast
import inspect
import json
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import mcast
from mcast.config.layout_file import parse_layout
from mcast.errors import ConfigError
from mcast.media.source.server_config import load_server_config
from mcast.overlay.events import Feed
from mcast.roles import cli
from mcast.roles.bootstrap.main import PROGRAM as BOOTSTRAP
from mcast.roles.client.main import PROGRAM as CLIENT
from mcast.roles.node.main import PROGRAM as NODE
from mcast.roles.server.main import PROGRAM as SERVER

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
                node.args[0] if node.func.id in ("OwnedThread", "TaskThread", "Forwarder", "Pacer") else None
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


# Options


def chapter(title: str) -> str:
    """Return what stands below a title of the page on operations, down to the next one."""
    return re.split(r"^#", OPERATIONS.partition(f"\n### {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("program", [BOOTSTRAP, NODE, SERVER, CLIENT], ids=lambda program: program.name)
def test_each_option_of_a_program_is_on_the_page(program: cli.Command) -> None:
    told = chapter(program.name) + OPERATIONS.partition("\n### ")[0]
    given = [name for action in cli.parser_of(program)._actions for name in action.option_strings]
    missing = [name for name in given if name.startswith("--") and not re.search(rf"{name}\b(?!-)", told)]
    assert missing == []


# Files

Table = dict[str, object]
FILM: Table = {"name": "film", "source": "film.mp4"}
STUDIO: Table = {"name": "studio", "source": "udp://239.1.2.3:5000"}
LAYOUT_KEYS, SERVER_KEYS, CONTENT_KEYS = (
    {
        quoted(key)[0]: (value, default)
        for key, value, default, _ in table(OPERATIONS, head, "value", "default", "what")
    }
    for head in ("key of the layout", "key of the server's file", "key of a content")
)


def layout(
    top: Mapping[str, object] = {}, node: Mapping[str, object] = {}, link: Mapping[str, object] = {}
) -> object:
    nodes = {
        "rp": {"address": "10.0.0.1:5000", **node},
        "n1": {"address": "10.0.0.2:5000", "neighbours": [{"node": "rp", **link}]},
    }
    return parse_layout({"rendezvous": "rp", "nodes": nodes, **top}, "layout.toml")


@pytest.fixture
def server_file(tmp_path: Path) -> Callable[..., object]:
    def read(content: Table, **keys: object) -> object:
        file = tmp_path / "server.json"
        file.write_text(json.dumps({"content": [content], **keys}))
        return load_server_config(file)

    return read


def taken(read: Callable[[Table], object]) -> set[str]:
    """Return the keys that a parser takes: it lists them when it meets one that resembles none of them."""
    with pytest.raises(ConfigError, match="unknown key; known keys: ") as refused:
        read({"?": 1})
    return set(str(refused.value).partition("known keys: ")[2].split(", "))


def test_each_key_of_the_layout_is_in_the_table() -> None:
    node = {f"nodes.NAME.{key}" for key in taken(lambda more: layout(node=more))}
    link = {f"nodes.NAME.neighbours.{key}" for key in taken(lambda more: layout(link=more))}
    assert set(LAYOUT_KEYS) == taken(layout) | node | link


def test_each_key_of_the_server_s_file_is_in_the_table(server_file: Callable[..., object]) -> None:
    assert set(SERVER_KEYS) == taken(lambda more: server_file(FILM, **more))
    assert set(CONTENT_KEYS) == taken(lambda more: server_file({**FILM, **more}))


def defaults(keys: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    """Return those defaults of a table that are values."""
    return {key: tomllib.loads(f"value = {quoted(told)[0]}")["value"] for key, (_, told) in keys.items()
            if re.fullmatch(r"`[^`]+`", told)}  # fmt: skip


def test_each_default_of_the_layout_is_what_it_means_without_the_key() -> None:
    for key, value in defaults(LAYOUT_KEYS).items():
        *inside, name = key.split(".")
        assert (layout(node={name: value}) if inside else layout({name: value})) == layout(), key


def test_each_default_of_a_content_is_what_it_means_without_the_key(
    server_file: Callable[..., object],
) -> None:
    for key, value in defaults(CONTENT_KEYS).items():
        content = FILM if key == "loop" else STUDIO
        assert server_file({**content, key: value}) == server_file(content), key


def test_each_range_of_a_number_is_the_one_that_the_parser_tells(server_file: Callable[..., object]) -> None:
    def read(content: Table) -> object:
        return server_file({**STUDIO, **content})

    for keys, reader in ((LAYOUT_KEYS, layout), (CONTENT_KEYS, read)):
        for key, (value, _) in keys.items():
            if told := re.fullmatch(r"([\d,]+) (?:to|or) ([\d,]+)(?: \S+)?", value):
                least, most = (number.replace(",", "") for number in told.groups())
                with pytest.raises(ConfigError, match=f"{key}: -1 is not from {least} to {most}$"):
                    reader({key: -1})


def test_each_key_of_both_files_is_explained_in_an_example() -> None:
    configs = TOP / "resources" / "configs"
    layouts = "".join((configs / f"{name}-layout.toml").read_text() for name in ("demo", "campus"))
    contents = (configs / "demo-server.toml").read_text()
    for keys, example in ((LAYOUT_KEYS, layouts), ({**SERVER_KEYS, **CONTENT_KEYS}, contents)):
        names = {key.rpartition(".")[2] for key in keys}
        lacks = [name for name in names if not re.search(rf"(?<!\w){name}\s*=|\[{name}\b", example)]
        assert lacks == []


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
