"""Masked text: secrets and tokens whose repr shows asterisks. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, Self, TypeVar, cast

__all__ = ["Masked", "MaskedBytes", "masked"]

T = TypeVar("T")


class Masked(str):
    """A str with a masked repr, for a secret or token.

    Slices of it are masked, too, because rich and structlog print `value[:80]`. A pickle contains
    a plain str.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Mask `value`."""
        _register_with_yaml()
        return super().__new__(cls, value)

    def __repr__(self) -> str:
        return "'********'"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def __deepcopy__(self, memo: object) -> Masked:
        return self


class MaskedBytes(bytes):
    """bytes with a masked repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'********'"

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (bytes(self),)

    def __deepcopy__(self, memo: object) -> MaskedBytes:
        return self


def masked(value: T) -> T:
    """Return `value` with each str and bytes in it masked."""
    hidden: Any = value
    if isinstance(value, str):
        hidden = Masked(value)
    elif isinstance(value, bytes | bytearray):
        hidden = MaskedBytes(value)
    elif isinstance(value, Mapping):
        hidden = {masked(key): masked(item) for key, item in value.items()}
    elif isinstance(value, Sequence):
        items = [masked(item) for item in value]
        hidden = tuple(items) if isinstance(value, tuple) else items
    elif isinstance(value, Set):
        hidden = frozenset(masked(item) for item in value)
    return cast(T, hidden)


def _register_with_yaml() -> None:
    # PyYAML, which writes vcrpy's cassettes, rejects unknown subclasses of str.
    yaml: Any = sys.modules.get("yaml.representer")
    with suppress(AttributeError):  # PyYAML is not imported, or only partly
        for known in (yaml.SafeRepresenter, yaml.Representer):
            if Masked not in known.yaml_multi_representers:
                known.add_multi_representer(Masked, _represent)


def _represent(dumper: Any, text: Masked) -> Any:
    return dumper.represent_str(str(text))


def _stay_masked(kind: type[str] | type[bytes], method: str) -> Callable[..., Any]:
    original = getattr(kind, method)

    def cut(self: object, *args: object, **kwargs: object) -> Any:
        piece = original(self, *args, **kwargs)
        return piece if isinstance(piece, int) else masked(piece)

    return cut


for _method in (
    "__getitem__",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "strip",
):
    setattr(Masked, _method, _stay_masked(str, _method))
    setattr(MaskedBytes, _method, _stay_masked(bytes, _method))
