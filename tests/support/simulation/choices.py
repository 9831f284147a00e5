"""Choices: all that is left to chance in one schedule, as one list of small numbers.

The list comes from a seed, or is given: then the schedule is the same again. Where a given list is
at its end, each choice is 0, which is always the simplest one: go on with this thread, no fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

__all__ = ["Choices"]

T = TypeVar("T")


class Choices:
    """Where decisions come from.

    Attributes:
        made: those made by now.
    """

    def __init__(self, seed: int | None = None, given: Sequence[int] = ()) -> None:
        self.random = None if seed is None else Random(seed).random
        self.made: list[int] = []
        self._given = given

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        if self.random is None:
            return self.given(limit)
        choice = int(self.random() * limit)
        self.made.append(choice)
        return choice

    def given(self, limit: int) -> int:
        """The next one of those given."""
        position = len(self.made)
        choice = min(self._given[position], limit - 1) if position < len(self._given) else 0
        self.made.append(choice)
        return choice

    def record(self, choice: int) -> int:
        """A decision that was made elsewhere, from the seed."""
        self.made.append(choice)
        return choice

    def of(self, options: Sequence[T]) -> T:
        """One of these; the first is the simplest."""
        return options[self.below(len(options))]

    def chance(self, probability: float) -> bool:
        """Whether something that is not simple happens."""
        if self.random is None:
            return self.given(2) == 1
        happens = self.random() < probability
        self.made.append(int(happens))
        return happens
