"""Tests that share what is expensive to start: one process of pytest-xdist runs all of them.

xdist's own way to say so, `--dist loadgroup`, does nothing with pytest 9.2 and xdist 3.8.
"""

from __future__ import annotations

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# The parts of a test's name that tests have in common which belong together.
GROUPS = [
    r"tests/cli/",  # whose programs are forks of one process
    r"test_one_fleet\.py",
    r"test_one_machine\.py",
    r"test_oauth_servers\.py",
]


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out tests one by one, and groups as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        for group in GROUPS:
            if found := re.search(group, nodeid):
                return found[0]
        return nodeid

    def mark_test_complete(self, node: Any, item_index: int, _duration: float = 0) -> None:
        """Forget what is done: xdist looks at all that a process was given, after each test."""
        nodeid = self.registered_collections[node][item_index]
        work, scope = self.assigned_work[node], self._split_scope(nodeid)
        work[scope][nodeid] = True
        if all(work[scope].values()):
            del work[scope]
        self._reschedule(node)
