"""The architecture page: the folder listing, and a picture of which module imports which.

Everything is derived from the code. The listing is the first line of each module's docstring. The
rows of the picture are the layers of the import contract in pyproject.toml, which `lint-imports`
checks, and the arrows are the imports. An arrow is left out if others lead there too (a over b to
c), and so are the modules that more than half of the others import.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean as mean

from docs.svg import Box, Point, Route, drawing

ROOT = Path(__file__).parent.parent
PACKAGE = "mediahound_auth"
WIDTH, HEIGHT = 132, 40  # of a box
GAP, ROW = 8, 84  # between boxes and arrows of a row; from one row to the next
SWEEPS = 24  # passes to order the boxes, and to straighten the lines

# A box, or a point in a row between: an arrow to a box passes there, given with the row's number.
Node = str | tuple[str, int]


def contract(number: int) -> dict[str, list[str]]:
    """An import contract of pyproject.toml: 0 is that of the layers, 1 of what is pure."""
    text = (ROOT / "pyproject.toml").read_text("utf-8").replace(f"{PACKAGE}.", "")
    found: dict[str, list[str]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"][number]
    return found


@cache
def layers() -> list[list[str]]:
    """The modules, and folders that are a layer as a whole, from the command line down."""
    return [layer.split(" | ") for layer in contract(0)["layers"]]


def pure() -> list[str]:
    """The modules that know no HTTP library, no lock and no clock."""
    return contract(1)["source_modules"]


def layer_of(module: str) -> tuple[int, str]:
    """The number of the layer of `module`, and the name of its box; the top is 0."""
    for row, names in enumerate(layers()):
        for name in names:
            if f"{module}.".startswith(f"{name}."):
                return row, name
    raise LookupError(f"{module} is in no layer of the import contract in pyproject.toml")


@cache
def imports(name: str) -> set[str]:
    """The boxes whose modules this one imports when it runs, at the top or later."""
    path = ROOT / PACKAGE / name.replace(".", "/")
    files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    found = {name for file in files for name in _imported(ast.parse(file.read_text("utf-8")))}
    return {layer_of(module)[1] for module in found} - {name}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE}."):
            for alias in node.names:
                yield f"{node.module}.{alias.name}".removeprefix(f"{PACKAGE}.")
        yield from _imported(node)


def left_out() -> list[str]:
    """What more than half of the others import, and would clutter the picture."""
    names = [name for layer in layers() for name in layer]
    found = [imported for name in names for imported in imports(name)]
    return [name for name in names if found.count(name) > (len(names) - 1) / 2]


def drawn() -> list[list[str]]:
    """The boxes of the picture, row by row."""
    out = left_out()
    rows = [[name for name in layer if name not in out] for layer in layers()]
    return [row for row in rows if row]


def arrows() -> list[tuple[str, str]]:
    """What imports what, except what follows from the rest."""
    names = [name for row in drawn() for name in row]
    direct = {name: imports(name) & set(names) for name in names}
    reached: dict[str, set[str]] = {}
    for name in reversed(names):  # the lowest layer first
        reached[name] = direct[name].union(*(reached[other] for other in direct[name]))
    return [
        (name, imported)
        for name in names
        for imported in sorted(direct[name])
        if not any(imported in reached[other] for other in direct[name])
    ]


def layout(rows: list[list[Node]], steps: set[tuple[Node, Node]]) -> dict[Node, float]:
    """Where in its row each node is, so that few of the `steps` cross (after Sugiyama).

    Each pass puts the nodes of a row into the order of the means of what they are joined to, first
    in the row above, then in the row below. Later passes keep the order and straighten the lines.
    """
    joined: dict[Node, tuple[list[Node], list[Node]]] = {n: ([], []) for row in rows for n in row}
    for upper, lower in sorted(steps, key=str):
        joined[lower][0].append(upper)
        joined[upper][1].append(lower)
    x = {node: place for row in rows for node, place in _spread(dict.fromkeys(row, 0.0))}
    for sweep in range(2 * SWEEPS):
        for row in rows[:: -1 if sweep % 2 else 1]:
            wanted = {}
            for node in sorted(row, key=x.__getitem__):
                above, below = joined[node]
                others = above + below if sweep >= SWEEPS else below if sweep % 2 else above
                # Long lines are straightened first.
                weights = [1 if _width(node) or _width(other) else 8 for other in others]
                wanted[node] = mean([x[o] for o in others], weights) if others else x[node]
            if sweep < SWEEPS:
                wanted = dict(sorted(wanted.items(), key=lambda item: item[1]))
            x |= _spread(wanted)
    return x


def _spread(wanted: dict[Node, float]) -> Iterator[tuple[Node, float]]:
    """The places nearest to those `wanted` that keep the order and the gaps between nodes."""
    offset, offsets = 0.0, []
    nodes = list(wanted)
    for before, node in zip([None, *nodes], nodes, strict=False):
        offset += (_width(before) + _width(node)) / 2 + GAP if before else 0
        offsets.append(offset)
    blocks: list[list[float]] = []  # nodes that touch move as one, to the mean of their wishes
    for place, start in zip(wanted.values(), offsets, strict=True):
        blocks.append([place - start])
        while len(blocks) > 1 and mean(blocks[-2]) > mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    places = [mean(block) for block in blocks for _ in block]
    yield from zip(wanted, map(sum, zip(places, offsets, strict=True)), strict=True)


def _width(node: Node) -> float:
    return WIDTH if isinstance(node, str) else 0


def picture() -> str:
    """The diagram, as SVG."""
    rows: list[list[Node]] = [list(row) for row in drawn()]
    row_of = {node: number for number, row in enumerate(rows) for node in row}
    paths: list[list[Node]] = []
    for before, after in arrows():
        between: list[Node] = [(after, row) for row in range(row_of[before] + 1, row_of[after])]
        paths.append([before, *between, after])
        for row, node in enumerate(between, row_of[before] + 1):
            if row_of.setdefault(node, row) == row and node not in rows[row]:
                rows[row].append(node)
    steps = {step for path in paths for step in pairwise(path)}
    x = layout(rows, steps)
    left = min(x[node] - _width(node) / 2 for node in x) - GAP / 2
    width = max(x[node] + _width(node) / 2 for node in x) + GAP / 2 - left

    def end(node: Node, other: Node, side: int) -> Point:
        """Where the step to or from `other` meets the top (-1) or the bottom (1) of `node`."""
        others = {step[side > 0] for step in steps if step[side < 0] == node}
        place = sorted(others, key=x.__getitem__).index(other) - (len(others) - 1) / 2
        shift = place * WIDTH / (len(others) + 1) if isinstance(node, str) else 0
        return x[node] - left + shift, ROW * row_of[node] + HEIGHT / 2 * (1 + side) + GAP / 2

    boxes = [
        Box(name, _label(name), x[name] - left, ROW * row + (HEIGHT + GAP) / 2, WIDTH, HEIGHT,
            marked=name in pure())
        for row, names in enumerate(drawn()) for name in names
    ]  # fmt: skip
    routes = [
        Route(
            f"{path[0]}-{path[-1]}",
            [point for a, b in pairwise(path) for point in (end(a, b, 1), end(b, a, -1))],
        )
        for path in paths
    ]
    height = ROW * len(drawn()) - ROW + HEIGHT + GAP
    return drawing(width, height, "Which module imports which", boxes, routes)


def _label(name: str) -> list[str]:
    """The lines in a box: the module's own name, and the folder it is in."""
    folder, _, module = name.rpartition(".")
    own = f"{module}/" if (ROOT / PACKAGE / name.replace(".", "/")).is_dir() else module
    return [own, f"{folder}/"] if folder else [own]


def listing() -> str:
    """Every folder and module of the package and the first line of its docstring, as Markdown."""
    return "".join(_lines(ROOT / PACKAGE, "")) + "\n"


def _lines(path: Path, indent: str) -> Iterator[str]:
    file = path / "__init__.py" if path.is_dir() else path
    first = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
    yield f"{indent}- `{path.name}{'/' * path.is_dir()}`: {first}\n"
    modules = {file.parent if file.name == "__init__.py" else file for file in path.rglob("*.py")}
    for inner in sorted(modules, key=lambda inner: (inner.suffix == "", inner.name)):
        if inner.parent == path:
            yield from _lines(inner, indent + "  ")


def caption() -> str:
    """What the picture leaves out, in a sentence."""
    names = " and ".join(f"`{name}`" for name in left_out())
    return f"Not in the picture: {names}, which more than half of the others import.\n"
