"""Masked text: secrets and tokens that tools print as asterisks, with all other variables. Pure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, Self, TypeVar, cast

__all__ = ["Masked", "MaskedBytes", "masked"]

T = TypeVar("T")


class Masked(str):
    """A secret or token. Only its repr differs from that of any str.

    It stays masked when it is cut: rich and structlog print `value[:80]`. Copies of it in pickles
    are plain.
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
    """The same for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'********'"

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        return bytes, (bytes(self),)

    def __deepcopy__(self, memo: object) -> MaskedBytes:
        return self


def masked(value: T) -> T:
    """`value`, with every str and bytes masked that it is or holds."""
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
    # PyYAML, which writes vcrpy's cassettes, rejects a str of a type that it has not been told of.
    yaml: Any = sys.modules.get("yaml.representer")
    with suppress(AttributeError):  # it is not there, or it is being imported
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
