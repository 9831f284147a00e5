"""Every interleaving: the real core, in a simulated machine and world.

- `choices`: all that is left to chance in one schedule.
- `scheduler`: threads of which one runs at a time, and the virtual clock.
- `machine`: what stands in for all that `runtime` imports.
- `world`: the token endpoint, the API and the store.
- `callers`: threads and tasks that use auth objects.
- `promises`: what must never happen.
- `scenario`: one of each, and `run`.
- `shrinker`: the shortest schedule found that breaks the same promise.
"""
