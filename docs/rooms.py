"""The rooms and what imports what, drawn from the imports themselves.

Rows are the layers of the import contract in pyproject.toml, which `lint-imports` checks. Left out
are the rooms that almost all others import, and arrows that only say what others say together (a
over b to c).
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docs.svg import Arrow, Box, drawing

ROOT = Path(__file__).parent.parent
PACKAGE = "mediahound_auth"
EVERYWHERE = {"errors", "events", "extras", "version"}
ROW, COLUMN = 62, 116
WIDTH, HEIGHT = 110, 30  # of a box
# Which column a room stands in; what is not here stands where its layer names it.
COLUMNS = {
    "cli": 1.5, "check": 0, "demo": 1, "serve": 2, "httpie": 3.4, "oauth2session": 4.7,
    "options": 1, "oauth2token": 4.7,
    "requests": 2.5, "httpx": 3.6, "httpx2": 4.7, "flow": 4.15, "auth": 2.5, "sending": 4.7,
    "source": 2.5, "cell": 1.5, "endpoint": 3.5, "visit": 2, "settings": 3, "stores": 2.5,
    "flight": 1.2, "terminal": 0, "grant": 3.5, "answer": 3.5, "lifecycle": 1, "origins": 4.7,
    "token": 2.5,
}  # fmt: skip


def layers() -> list[list[str]]:
    """The rooms from the adapters down to the token, as the import contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    return [layer.split(" | ") for layer in contract["layers"]]


def pure() -> set[str]:
    """Those that know no HTTP library, no lock and no clock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][1]
    return {name.removeprefix(f"{PACKAGE}.") for name in contract["source_modules"]}


def imports(room: str) -> set[str]:
    """The rooms that this one imports when it runs, at the top or later."""
    path = ROOT / PACKAGE / room
    files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    found = {name for file in files for name in _imported(ast.parse(file.read_text("utf-8")))}
    return found - {room}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            yield str(node.module).split(".")[1]
        yield from _imported(node)


def arrows() -> set[tuple[str, str]]:
    """What imports what, but for what follows from the rest."""
    rooms = {room for layer in layers() for room in layer} - EVERYWHERE
    direct = {room: imports(room) & rooms for room in rooms}
    return {
        (room, imported)
        for room in rooms
        for imported in direct[room]
        if not any(imported in _reach(other, direct) for other in direct[room] - {imported})
    }


def _reach(room: str, direct: dict[str, set[str]]) -> set[str]:
    """All that comes along when `room` is imported."""
    reached: set[str] = set()
    left = [room]
    while left:
        new = direct[left.pop()] - reached
        reached |= new
        left.extend(new)
    return reached


def picture() -> str:
    """The diagram, as SVG."""
    rows = [[room for room in layer if room not in EVERYWHERE] for layer in layers()]
    boxes = {}
    for row, layer in enumerate(filter(None, rows)):
        for place, room in enumerate(layer):
            name = [f"{room}/" if (ROOT / PACKAGE / room).is_dir() else room]
            x, y = 57 + COLUMNS.get(room, place) * COLUMN, 20 + row * ROW
            boxes[room] = Box(room, name, x, y, WIDTH, HEIGHT, marked=room in pure())
    drawn = [Arrow(boxes[room], boxes[imported]) for room, imported in sorted(arrows())]
    width = max(box.x for box in boxes.values()) + 57
    height = max(box.y for box in boxes.values()) + 20
    title = "The rooms, and which imports which"
    return drawing(width, height, title, boxes.values(), drawn)


def table() -> str:
    """The rooms and what each is for, in its own words, as Markdown."""
    rows = []
    for layer in layers():
        for room in layer:
            path = ROOT / PACKAGE / room
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            words = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            first = words.split("\n\n")[0].replace("\n", " ")
            name = f"{room}/" if path.is_dir() else f"{room}.py"
            rows.append(f"| `{name}` | {first} |")
    return "\n".join(["| room | |", "| --- | --- |", *rows, ""])
