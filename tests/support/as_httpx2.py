"""Tests of httpx, read as tests of httpx2: what is promised for one is promised for the other."""

from __future__ import annotations

import re
from pathlib import Path
from types import CodeType


def read(module: str) -> CodeType:
    """The tests of that module, with httpx2 in the place of httpx, to be run in another one."""
    [path] = Path(__file__).parents[1].rglob(f"{module}.py")
    text = path.read_text(encoding="utf-8")
    return compile(re.sub(r"\b(httpx|httpcore)\b", r"\g<1>2", text), f"{path} (httpx2)", "exec")
