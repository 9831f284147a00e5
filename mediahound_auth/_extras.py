"""The error for a missing library that an extra of this package installs."""

from __future__ import annotations

__all__ = ["missing_extra"]


def missing_extra(
    error: ModuleNotFoundError, what: str, extra: str, *libraries: str
) -> ModuleNotFoundError:
    """Return the error to raise: `what` needs one of `libraries`, which `extra` installs.

    Return `error` itself if another module is missing, as in a broken installation.
    """
    if error.name is None or error.name not in libraries:
        return error
    library = error.name.partition(".")[0]
    message = f"{what} needs {library}: pip install 'mediahound-auth[{extra}]'"
    return ModuleNotFoundError(message, name=library)
