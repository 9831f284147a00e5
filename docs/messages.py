"""The page of all messages: `docs/messages.toml`, which has to be complete.

A template is a text in the code, with `{name}` for each value that is filled in. Each template with
a space in it, docstrings aside, stands in `messages.toml`: as a message, as a part of a message, or
as a text that is not a message.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1] / "mediahound_auth"
TABLE: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent / "messages.toml").read_text(encoding="utf-8")
)
COLUMNS = {
    "text": "message",
    "as": "raised as",
    "when": "when",
    "do": "what to do",
    "retry": "retry",
}


def page() -> str:
    """Return the tables, a section for each group of messages."""
    return "\n\n".join(map(_section, TABLE["section"])) + "\n"


def _section(section: dict[str, Any]) -> str:
    """Return a section. What all of its messages have in common is said before its table."""
    messages = [{**message, "text": _text(message)} for message in section["message"]]
    common = {key: messages[0][key] for key in COLUMNS if len({one[key] for one in messages}) == 1}
    columns = [key for key in COLUMNS if key not in common]
    about = section["about"]
    if common:
        stated = "; ".join(f"{COLUMNS[key]}: {text}" for key, text in common.items())
        about += f" For all messages of this section: {stated}."
    rows = [_row(COLUMNS[key] for key in columns), _row("---" for _ in columns)]
    rows += [_row(message[key] for key in columns) for message in messages]
    return f"## {section['title']}\n\n{about}\n\n{{.stacked}}\n" + "\n".join(rows)


def _text(message: dict[str, Any]) -> str:
    text = _code(message["text"])
    if parts := message.get("parts"):
        text += " + " + " / ".join(map(_code, parts))
    return text


def _code(template: str) -> str:
    """Return a template as it is shown: `%s` of a log message is an ellipsis."""
    shown = re.sub(r"%[.0-9]*[a-z]", "…", template.strip().replace("|", "¦"))
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def listed() -> Iterator[str]:
    """Yield each template that `messages.toml` has."""
    for section in TABLE["section"]:
        for message in section["message"]:
            yield from (message["text"], *message.get("parts", ()))
    for texts in TABLE["not-messages"].values():
        yield from texts


def templates() -> set[str]:
    """Return the templates in the code."""
    return {
        text
        for file in PACKAGE.rglob("*.py")
        for text in _texts(ast.parse(file.read_text("utf-8")))
        if " " in text.strip()
    }


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the outermost texts in `node`, without docstrings."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(map(_rendered, node.values))
        for part in node.values:
            for child in ast.iter_child_nodes(part):
                yield from _texts(child) if isinstance(part, ast.FormattedValue) else ()
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def _rendered(part: ast.expr) -> str:
    """Return a part of an f-string: its text, or the name of its value in braces."""
    match part:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.IfExp(body=ast.Constant(value=str(text)))):
            return f"({text})"
        case ast.FormattedValue(value=value):
            return f"{{{_name(value)}}}"
    raise AssertionError(ast.dump(part))


def _name(value: ast.expr) -> str:
    match value:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr="__name__"):
            return "type"
        case ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Call(args=[argument]):
            return _name(argument)
        case ast.Call(func=function):
            return _name(function)
        case ast.BoolOp(values=[first, *_]) | ast.BinOp(left=first) | ast.Subscript(value=first):
            return _name(first)
    return "…"
