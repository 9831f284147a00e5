"""Boxes and arrows as SVG, for pages in light and dark: colours are furo's own, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import hypot
from typing import NamedTuple

INK = "var(--color-foreground-primary)"
FAINT = "var(--color-foreground-muted)"
PAPER = "var(--color-background-primary)"
RAISED = "var(--color-background-secondary)"
BRAND = "var(--color-brand-primary)"

Point = tuple[float, float]


class Box(NamedTuple):
    """A box with text in it, the first line in bold.

    Attributes:
        name: its id in the picture.
        lines: the text.
        x, y: its middle.
        width, height: its size.
        quiet: whether it is drawn as something that stands for others.
        marked: whether it has a border in another colour.
    """

    name: str
    lines: Sequence[str]
    x: float
    y: float
    width: float = 120
    height: float = 50
    quiet: bool = False
    marked: bool = False

    def svg(self) -> str:
        """The box itself."""
        left, top = self.x - self.width / 2, self.y - self.height / 2
        first = self.y - 8 * (len(self.lines) - 1) + 4.5
        texts = []
        for number, line in enumerate(self.lines):
            loud = number == 0 and not self.quiet
            texts.append(
                f'<text x="{self.x:g}" y="{first + 16 * number:g}" text-anchor="middle" '
                f'fill="{INK if loud else FAINT}" font-weight="{600 if loud else 400}" '
                f'font-size="{14 if loud else 12}">{escape(line)}</text>'
            )
        border = FAINT if self.quiet else BRAND if self.marked else INK
        style = f'fill="{PAPER if self.quiet else RAISED}" stroke="{border}"'
        style += f' stroke-width="{2 if self.marked else 1.3}"'
        return (
            f'<g id="{self.name}"><rect x="{left:g}" y="{top:g}" width="{self.width:g}" '
            f'height="{self.height:g}" rx="6" {style}/>{"".join(texts)}</g>'
        )


class Arrow(NamedTuple):
    """An arrow from one box to another.

    Attributes:
        before, after: the boxes.
        label: what stands at it.
        bend: how far its middle is moved to its left, as seen by who walks along it.
        at: where the label stands, from 0 (the beginning) to 1.
        dashed: whether it is.
        loud: whether it is drawn in another colour.
    """

    before: Box
    after: Box
    label: str = ""
    bend: float = 0
    at: float = 0.5
    dashed: bool = False
    loud: bool = False

    def svg(self) -> str:
        """The arrow and its label."""
        (ax, ay), (bx, by) = self.before[2:4], self.after[2:4]
        length = hypot(bx - ax, by - ay) or 1
        normal = (by - ay) / length, (ax - bx) / length
        middle = (
            (ax + bx) / 2 + 2 * self.bend * normal[0],
            (ay + by) / 2 + 2 * self.bend * normal[1],
        )
        start = _leaving(self.before, middle, 2)
        end = _leaving(self.after, middle, 7)
        dashes = ' stroke-dasharray="5 4"' if self.dashed else ""
        path = (
            f'<path id="{self.before.name}-{self.after.name}" fill="none" '
            f'stroke="{BRAND if self.loud else INK}" stroke-width="{2.6 if self.loud else 1.2}" '
            f'marker-end="url(#{"loud" if self.loud else "tip"})"{dashes} '
            f'd="M{_p(start)} Q{_p(middle)} {_p(end)}"/>'
        )
        t = self.at
        x, y = (
            (1 - t) ** 2 * start[i] + 2 * t * (1 - t) * middle[i] + t**2 * end[i] for i in (0, 1)
        )
        lines = self.label.split("\n") if self.label else []
        return path + "".join(
            f'<text x="{x:.1f}" y="{y + 4 + 14 * (n - (len(lines) - 1) / 2):.1f}" '
            f'text-anchor="middle" font-size="12" fill="{INK}" stroke="{PAPER}" stroke-width="4" '
            f'paint-order="stroke">{escape(line)}</text>'
            for n, line in enumerate(lines)
        )


class Route(NamedTuple):
    """An arrow downwards through several rows of boxes.

    Attributes:
        name: its id in the picture.
        points: where each of its curves begins and ends; it is vertical there.
    """

    name: str
    points: Sequence[Point]

    def svg(self) -> str:
        """The arrow."""
        x, y = self.points[-1]
        before = self.points[0]
        path = f"M{_p(before)}"
        for after in (*self.points[1:-1], (x, y - 7)):
            middle = (before[1] + after[1]) / 2
            path += f" C{_p((before[0], middle))} {_p((after[0], middle))} {_p(after)}"
            before = after
        return (
            f'<path id="{self.name}" fill="none" stroke="{INK}" stroke-width="1.3" '
            f'marker-end="url(#tip)" d="{path}"/>'
        )


def _leaving(box: Box, to: Point, gap: float) -> Point:
    """Where a line from the middle of `box` to `to` leaves it, and `gap` farther."""
    dx, dy = to[0] - box.x, to[1] - box.y
    sides = [box.width / 2 / abs(dx)] if dx else []
    sides += [box.height / 2 / abs(dy)] if dy else []
    part = min(sides, default=0.0) + gap / (hypot(dx, dy) or 1)
    return box.x + dx * part, box.y + dy * part


def _p(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def drawing(
    width: float,
    height: float,
    title: str,
    boxes: Iterable[Box],
    arrows: Iterable[Arrow | Route],
    *,
    wide: bool = True,
) -> str:
    """The whole picture. On a narrow screen it is shrunk, and scrolled if it is `wide`."""
    shapes = "\n".join([*(arrow.svg() for arrow in arrows), *(box.svg() for box in boxes)])
    kind, least = ("drawing wide", 0.77 * width) if wide else ("drawing", 0)
    return (
        f'<div class="{kind}"><svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" style="width:{width:.0f}px;max-width:100%;'
        f'min-width:{least:.0f}px" '
        'xmlns="http://www.w3.org/2000/svg">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" '
        f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" '
        f'fill="{INK}"/></marker><marker id="loud" viewBox="0 0 8 8" refX="1" refY="4" '
        'markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{BRAND}"/></marker></defs>\n{shapes}\n</svg></div>\n'
    )
