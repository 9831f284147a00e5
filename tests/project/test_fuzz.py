"""The fuzz target, for a limited number of inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.fuzz]

TARGET = Path(__file__).parents[1] / "support" / "fuzz_response.py"
INPUTS = 20_000


def test_no_bytes_break_a_promise_of_the_parser(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TARGET, f"-runs={INPUTS}", "-max_len=400", "-print_final_stats=1"],
        cwd=tmp_path,  # where libFuzzer leaves what it has found
        # Coverage would trace what atheris has instrumented, and measure nothing new.
        env={name: value for name, value in os.environ.items() if "COV" not in name},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"stat::number_of_executed_units: {INPUTS}" in done.stderr, done.stderr[-2000:]
