"""Every code block of the README and of the documentation runs, page by page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, blocks

pytestmark = [pytest.mark.once, pytest.mark.documentation]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
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
