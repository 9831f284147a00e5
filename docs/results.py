"""What `make bench` has measured, as tables and bars: Markdown, from benchmarks/results.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, STATIC
from benchmarks.table import Column, Row, Table, label

# The plots at the top of the page: the case and the column, and what is measured.
IN_SHORT = {
    ("Cold start", "token requests"): "Token requests when 64 threads start at once",
    (
        "The last seconds of a token that the server returns again",
        "token requests",
    ): "Token requests for 100 calls, while the server returns the same, nearly expired token "
    "(0: the calls fail)",
    ("Wrong secret", "token requests"): "Token requests for 100 calls with a wrong secret",
    (
        "Cost of a valid token",
        "per request",
    ): "Cost of the auth object with a valid token, compared with a static header",
    ("Event loop", "event loop held"): "Event loop blocked while a token is requested",
}

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results.json"


def pages(results: Path = RESULTS) -> dict[str, str]:
    """The Markdown to include, by name: what was measured on, in short, and each case."""
    data = json.loads(results.read_text("utf-8"))
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    measured = (
        f"Measured by `{data['command']}` with CPython {data['python']} on {data['system']}, with "
        f"{versions}. All contenders are measured in one run, in turn.\n"
    )
    cases = "\n".join("\n".join(_case(_table(case))) for case in data["cases"])
    return {
        "measured": measured,
        "in-short": "\n".join(_in_short([_table(case) for case in data["cases"]])),
        "cases": cases,
    }


def _in_short(tables: list[Table]) -> Iterator[str]:
    for (case, title), caption in IN_SHORT.items():
        table = next(table for table in tables if table.title == case)
        number = [column.title for column in table.columns].index(title)
        rows = [row for row in table.rows if isinstance(row.values[number], int | float)]
        yield _bars(table._replace(rows=rows), number, caption)


def _table(data: Mapping[str, Any]) -> Table:
    columns = tuple(Column(**column) for column in data["columns"])
    rows = [Row(row["name"], row["kind"], tuple(row["values"])) for row in data["rows"]]
    return Table(data["title"], data["note"], columns, rows)


def _case(table: Table) -> Iterator[str]:
    yield f"### {table.title}\n\n{table.note}\n"
    number = next((n for n in range(len(table.columns)) if _comparable(table, n)), None)
    if number is None:
        yield _markdown(table)
        return
    yield _bars(table, number)
    if len(table.columns) > 1:
        yield f"<details><summary>All columns</summary>\n\n{_markdown(table)}\n</details>\n"


def _comparable(table: Table, number: int) -> bool:
    """Whether bars say something: in this column it is a peer that has the most, by far.

    A column in which less is not better, such as the token requests of those who do not repair a
    401, stands in the table only.
    """
    peers = [row.values[number] for row in table.rows if not row.name.startswith((OURS, STATIC))]
    ours = [row.values[number] for row in table.rows if row.name.startswith(OURS)]
    return _most(peers) > 1.5 * _most(ours) > 0


def _most(values: Iterable[object]) -> float:
    return max((value for value in values if isinstance(value, int | float)), default=0.0)


def _bars(table: Table, number: int, caption: str = "") -> str:
    """One bar for each contender, as long as what was measured of it."""
    column = table.columns[number]
    values = [row.values[number] for row in table.rows]
    longest = _most(values)
    lines = []
    for row, value in zip(table.rows, values, strict=True):
        part = 100 * value / longest if isinstance(value, int | float) else 0
        kind = "ours" if row.name.startswith(OURS) else "static" if row.name == STATIC else "peer"
        lines.append(
            f'<tr class="{kind}"><th scope="row">{escape(label(row))}</th>'
            f'<td><span class="bar" style="width:{part:.1f}%"></span></td>'
            f"<td>{escape(column.show(value))}</td></tr>"
        )
    rows = "\n".join(lines)
    head = f"<caption>{escape(caption or column.title)}</caption>"
    return f'<table class="bars">{head}\n{rows}\n</table>\n'


def _markdown(table: Table) -> str:
    lines = table.markdown().split("\n")[4:]
    lines[0] = lines[0].replace("|  |", "| package |", 1)
    # What this project wants to reach is nothing that users need.
    text = "\n".join(
        ["{.stacked}", *(one for one in lines if not one.startswith("| to reach")), ""]
    )
    return text.replace(" ×", "\N{NO-BREAK SPACE}×")
