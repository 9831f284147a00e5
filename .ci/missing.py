"""In place of a library that a Python cannot have: a test that uses it is skipped. See `.ci/newer`."""

from __future__ import annotations

import pytest


class Missing:
    """Anything that is imported from the library."""

    def __init__(self, *args: object) -> None:
        pass

    def __call__(self, *args: object, **options: object) -> None:
        pytest.skip(f"{__name__} is not available for this Python", allow_module_level=True)

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def __getattr__(name: str) -> Missing:
    if name.startswith("__"):
        raise AttributeError(name)
    return Missing()
