"""Tables of results: as text for a terminal, as Markdown and as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

KINDS = ("requests", "httpx", "httpx async")

Value = float | str | None


class Column(NamedTuple):
    """One thing that is measured of each contender.

    Attributes:
        title: what it is.
        form: how to show a number of it.
        reach: what design.md wants of it, in words; empty if it wants nothing.
        limit: the largest number with which that is reached, for each kind of contender.
    """

    title: str
    form: str = "{:g}"
    reach: str = ""
    limit: Mapping[str, float] | None = None

    def show(self, value: Value) -> str:
        if value is None:
            return "–"
        return value if isinstance(value, str) else self.form.format(value)


class Row(NamedTuple):
    """What was measured of one contender: one value per column."""

    name: str
    kind: str
    values: tuple[Value, ...]


class Table(NamedTuple):
    """One case: what was measured of all contenders."""

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: list[Row]

    def lines(self) -> list[list[str]]:
        """The cells as text: the head, what is to be reached, the contenders."""
        reach = [column.reach for column in self.columns]
        body = [[label(row), *map(Column.show, self.columns, row.values)] for row in self.rows]
        head = ["", *(column.title for column in self.columns)]
        return [head, ["to reach", *reach], *body] if any(reach) else [head, *body]

    def text(self) -> str:
        return "\n".join([self.title, self.note, "", *_aligned(self.lines())])

    def markdown(self) -> str:
        return "\n".join([f"## {self.title}", "", self.note, "", *_markdown(self.lines())])

    def data(self) -> dict[str, object]:
        return {
            "title": self.title,
            "note": self.note,
            "columns": [column._asdict() for column in self.columns],
            "rows": [row._asdict() for row in self.rows],
        }


def at_most(limit: float) -> dict[str, float]:
    """The same limit for every kind."""
    return dict.fromkeys(KINDS, limit)


def label(row: Row) -> str:
    return f"{row.name} ({row.kind})" if row.kind else row.name


def summary(tables: Iterable[Table], ours: str, baseline: str) -> Table:
    """Each number that there is a limit for: ours of each kind, and the range of the peers'."""
    rows = []
    for table in tables:
        for number, column in enumerate(table.columns):
            if column.limit is None:
                continue
            mine = {row.kind: row.values[number] for row in table.rows if row.name == ours}
            peers = [row.values[number] for row in table.rows if row.name not in (ours, baseline)]
            shown = [column.show(mine.get(kind)) for kind in KINDS]
            values = (column.reach, *shown, _range(column, peers), _verdict(column.limit, mine))
            rows.append(Row(f"{table.title}: {column.title}", "", values))
    titles = ("to reach", *(f"{ours}, {kind}" for kind in KINDS), "peers", "reached")
    note = "What is to be reached, what mediahound-auth reaches, and the range of its peers."
    return Table("In short", note, tuple(map(Column, titles)), rows)


def _verdict(limit: Mapping[str, float], mine: Mapping[str, Value]) -> str:
    measured = {k: value for k, value in mine.items() if value is not None and k in limit}
    if not measured:
        return "–"
    within = (not isinstance(value, str) and value <= limit[k] for k, value in measured.items())
    return "yes" if all(within) else "no"


def _range(column: Column, values: list[Value]) -> str:
    """The least and the largest number, and what else there is."""
    numbers = [value for value in values if isinstance(value, float | int)]
    ends = (min(numbers), max(numbers)) if numbers else ()
    words = dict.fromkeys(value for value in values if isinstance(value, str))
    shown = " to ".join(dict.fromkeys(map(column.show, ends)))
    return ", ".join(part for part in (shown, *words) if part) or "–"


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    aligned = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in lines
    ]
    return [aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]]


def _markdown(lines: list[list[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(cells) + " |" for cells in lines]
    rule = "| --- |" + " ---: |" * (len(lines[0]) - 1)
    return [head, rule, *body]
