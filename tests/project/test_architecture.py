"""The architecture page: its listing, and a picture whose arrows are the package's imports."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from docs import architecture
from docs.svg import Point

pytestmark = [pytest.mark.once, pytest.mark.documentation]

PACKAGE = architecture.ROOT / architecture.PACKAGE
NUMBER = r"(-?[\d.]+)"
BOX = rf'<g id="([^"]+)"><rect x="{NUMBER}" y="{NUMBER}" width="{NUMBER}" height="{NUMBER}"'
ARROW = r'<path id="([^"]+)-([^"]+)" [^>]* d="([^"]+)"'

Rectangle = tuple[float, float, float, float]


@cache
def picture() -> str:
    return architecture.picture()


@cache
def boxes() -> dict[str, Rectangle]:
    """Left, top, right and bottom of each box in the picture."""
    found = {}
    for name, *numbers in re.findall(BOX, picture()):
        left, top, width, height = map(float, numbers)
        found[name] = left, top, left + width, top + height
    return found


def points(path: str) -> list[Point]:
    """Points along an SVG path of cubic curves."""
    numbers = [float(number) for number in re.findall(NUMBER, path)]
    ends = list(zip(numbers[::2], numbers[1::2], strict=True))
    found = []
    for first in range(0, len(ends) - 1, 3):
        a, b, c, d = ends[first : first + 4]
        for t in (step / 50 for step in range(51)):
            parts = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
            x, y = (sum(p * q[i] for p, q in zip(parts, (a, b, c, d), strict=True)) for i in (0, 1))
            found.append((x, y))
    return found


def modules(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("*.py") if path.name != "__init__.py"]
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files}


def test_each_module_is_in_one_layer_of_the_import_contract() -> None:
    names = [name for layer in architecture.layers() for name in layer]
    assert {architecture.layer_of(module)[1] for module in modules(PACKAGE)} == set(names)
    assert len(names) == len(set(names))
    with pytest.raises(LookupError, match=r"_core\.unheard_of is in no layer"):
        architecture.layer_of("_core.unheard_of")


def test_each_box_is_in_the_picture_and_overlaps_no_other() -> None:
    found = re.search(rf'viewBox="0 0 {NUMBER} {NUMBER}"', picture())
    assert found is not None
    width, height = map(float, found.groups())
    names = {name for layer in architecture.layers() for name in layer}
    assert set(boxes()) == names - set(architecture.left_out())
    for name, (left, top, right, bottom) in boxes().items():
        assert 0 <= left < right <= width, name
        assert 0 <= top < bottom <= height, name
        for other, (x, y, x2, y2) in boxes().items():
            apart = right < x or x2 < left or bottom < y or y2 < top
            assert name == other or apart, (name, other)


def test_each_arrow_goes_from_its_box_down_to_the_other_and_crosses_none() -> None:
    drawn = re.findall(ARROW, picture())
    assert {(before, after) for before, after, _ in drawn} == set(architecture.arrows())
    assert len(drawn) > 10
    for before, after, path in drawn:
        along = points(path)
        (x, y), (x2, y2) = along[0], along[-1]
        left, _, right, bottom = boxes()[before]
        assert left < x < right
        assert y == pytest.approx(bottom, abs=1)
        left, top, right, _ = boxes()[after]
        assert left < x2 < right
        assert 0 < top - y2 < 10  # the tip
        for name, (left, top, right, bottom) in boxes().items():
            crossing = [p for p in along if left < p[0] < right and top + 1 < p[1] < bottom - 1]
            assert not crossing, (before, after, name)
        assert all(a[1] <= b[1] for a, b in pairwise(along)), (before, after)


def test_following_the_arrows_leads_to_all_that_is_imported_and_to_nothing_else() -> None:
    arrows = architecture.arrows()

    def reached(name: str) -> set[str]:
        below = {after for before, after in arrows if before == name}
        return below.union(*map(reached, below))

    for name in boxes():
        direct = architecture.imports(name) - set(architecture.left_out())
        assert {after for before, after in arrows if before == name} <= direct <= reached(name)


def test_imports_are_seen_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    monkeypatch.setattr(architecture, "layers", lambda: [["a", "folder", "_b.c", "_b.d", "e"]])
    (tmp_path / "mediahound_auth" / "folder").mkdir(parents=True)
    (tmp_path / "mediahound_auth" / "folder" / "module.py").write_text(
        "import other\n"
        "from mediahound_auth import a as b\n"
        "if TYPE_CHECKING:\n    from mediahound_auth.e import E\n"
        "def function():\n    from mediahound_auth._b.c import C\n"
        "    from mediahound_auth._b import d\n"
        "from mediahound_auth_of_others import e\n"
        "from mediahound_auth.folder.x import X\n"
    )
    assert architecture.imports("folder") == {"a", "_b.c", "_b.d"}


def test_the_listing_has_every_folder_and_module_with_a_line_about_it() -> None:
    listed = re.findall(r"^ *- `([\w.]+/?)`: \S", architecture.listing(), re.MULTILINE)
    files = [path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")]
    there = [f"{f.parent.name}/" if f.name == "__init__.py" else f.name for f in files]
    assert sorted(listed) == sorted(there)


def test_the_readme_lists_the_folders() -> None:
    readme = (architecture.ROOT / "README.md").read_text("utf-8")
    listing = readme.partition("```\nmediahound_auth/\n")[2].partition("```")[0]
    shown = re.findall(r"^  (\w+)/   *\S", listing, re.MULTILINE)
    assert shown == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_the_caption_says_what_the_picture_leaves_out() -> None:
    assert "`errors`" in architecture.caption()
