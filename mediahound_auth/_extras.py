"""What to say when a library is missing that one of this package's extras brings."""

from __future__ import annotations

__all__ = ["missing_extra"]


def missing_extra(
    error: ModuleNotFoundError, what: str, extra: str, *libraries: str
) -> ModuleNotFoundError:
    """What to raise for `error`: `what` needs one of `libraries`, which `extra` installs.

    It is `error` itself if something else is missing: a library that is there, but broken.
    """
    if error.name is None or error.name not in libraries:
        return error
    library = error.name.partition(".")[0]
    message = f"{what} needs {library}: pip install 'mediahound-auth[{extra}]'"
    return ModuleNotFoundError(message, name=library)
