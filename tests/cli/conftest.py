"""The command line: programs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _keys(real_keys: None) -> None:
    """Programs share stores with tests."""
