"""httpx and httpx2: what is promised for one is promised for the other."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from libraries import HTTPX, HTTPX2, Library


@pytest.fixture(params=[HTTPX, HTTPX2], ids=str)
def httpx_or_httpx2(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


@pytest.fixture
def httpx(httpx_or_httpx2: Library) -> ModuleType:
    """The module: httpx, or httpx2."""
    return httpx_or_httpx2.module


@pytest.fixture
def MediaHoundAuth(httpx_or_httpx2: Library) -> Any:  # a class
    """Ours, for that module."""
    return httpx_or_httpx2.MediaHoundAuth
