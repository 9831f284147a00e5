"""The shrinker: the shortest list of choices found that breaks the same promise."""

from __future__ import annotations

from simulation.choices import Choices
from simulation.scenario import Failure, run
from simulation.scheduler import scheduler

__all__ = ["shrunk", "story"]

MOST_RUNS = 3000


def shrunk(failure: Failure, most_runs: int = MOST_RUNS) -> Failure:
    """`failure`, after fewer and smaller choices."""
    best, runs = _trimmed(failure), 0
    size = max(1, len(best.choices) // 2)
    while size and runs < most_runs:
        smaller, start = False, 0
        while start < len(best.choices) and runs < most_runs:
            for candidate in _smaller(best.choices, start, size):
                runs += 1
                found = run(Choices(given=candidate))
                if found and _promise(found) == _promise(failure) and _less(found, best):
                    best, smaller = _trimmed(found), True
                    break
            else:
                start += size
        if not smaller:
            size //= 2
    return best


def _promise(failure: Failure) -> str:
    return failure.promise.split(":")[0]


def _smaller(choices: list[int], start: int, size: int) -> list[list[int]]:
    """The same without a part, with that part made simple, or with its last number less by one."""
    before, part, after = choices[:start], choices[start : start + size], choices[start + size :]
    candidates = [before + after]
    if any(part):
        candidates.append([*before, *(0 for _ in part), *after])
        if size == 1 and part[0] > 1:
            candidates.append([*before, part[0] - 1, *after])
    return candidates


def _less(one: Failure, other: Failure) -> bool:
    """Whether it is simpler: fewer choices that are not the simplest, then fewer, then smaller."""
    return _size(one) < _size(other)


def _size(failure: Failure) -> tuple[int, int, list[int]]:
    choices = _trimmed(failure).choices
    return sum(map(bool, choices)), len(choices), choices


def _trimmed(failure: Failure) -> Failure:
    """Without the zeros at its end, which come by themselves."""
    choices = list(failure.choices)
    while choices and not choices[-1]:
        choices.pop()
    return failure._replace(choices=choices)


def story(failure: Failure) -> str:
    """What happens in the schedule of `failure`, line by line."""
    scheduler.story = []
    try:
        run(Choices(given=failure.choices))
        return "\n".join(scheduler.story)
    finally:
        scheduler.story = None
