"""Every code block of the README and of the documentation runs, page by page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, blocks

pytestmark = [pytest.mark.once, pytest.mark.documentation]


def as_parameter(page: Path) -> Any:
    calls_curl = any(block.language == "bash" and "curl" in block.code for block in blocks(page))
    marks = [pytest.mark.programs] if calls_curl else []
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("page", [as_parameter(page) for page in PAGES])
def test_the_code_on_the_page_runs(page: Path, tmp_path: Path) -> None:
    if not blocks(page):
        return
    environment = {name: value for name, value in os.environ.items() if "MEDIAHOUND" not in name}
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "pages.py", page],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_there_is_code_to_run() -> None:
    assert sum(len(blocks(page)) for page in PAGES) > 5
