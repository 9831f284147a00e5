"""Tests that share what is expensive to start: one process of pytest-xdist runs all of them.

xdist's own way to say so, `--dist loadgroup`, does nothing with pytest 9.2 and xdist 3.8.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# The parts of a test's name that tests have in common which belong together.
GROUPS = [
    r"test_one_fleet\.py",
    r"test_one_machine\.py",
    r"test_oauth_servers\.py.*\[(?:authlib|django-oauth-toolkit)",
]


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, and groups as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        for group in GROUPS:
            if found := re.search(group, nodeid):
                return re.sub(r"\.py.*\[", " ", found[0])
        return nodeid
