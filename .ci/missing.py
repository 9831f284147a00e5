"""Replace a library that a Python cannot have: a test that uses it is skipped. See `newer`."""

from __future__ import annotations

import pytest


class Missing:
    """Anything that is imported from the library."""

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, *_: object, **_options: object) -> None:
        """Skip the test, or the module that calls it while it is imported."""
        pytest.skip(f"{__name__} is not available for this Python", allow_module_level=True)

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def __getattr__(name: str) -> Missing:
    if name.startswith("__"):
        raise AttributeError(name)
    return Missing()
