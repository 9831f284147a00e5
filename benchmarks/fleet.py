"""A fleet of workers at the moment when their token expires: `python -m benchmarks.fleet`.

Four ways of keeping the token are simulated (see simulation.py) and told side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.simulation import (
    EXPIRY,
    PAUSE,
    SERVICE,
    STORE_TRIP,
    LockableStore,
    Peer,
    Tally,
    Worker,
    World,
)
from benchmarks.table import Column, Row, Table

# Seconds from the expiry: what is simulated, and where the right half of the plot begins and ends.
BEGIN, END = -360.0, 60.0
CLOSE, OVER = -40.0, 25.0


class Way(NamedTuple):
    """One way for a fleet to keep its token.

    Attributes:
        name: what the table and the plot call it.
        sharing: how many workers share a store; None for all of them.
    """

    name: str
    sharing: int | None = 1


PEERS = Way("30 s early at every call, as the peers do")
ALONE = Way("no shared store")
HOSTS = Way("one store per host of 32 workers", 32)
FLEET = Way("one store for the whole fleet", None)
WAYS = (PEERS, ALONE, HOSTS, FLEET)


def simulate(way: Way, workers: int, seed: int = 1) -> Tally:
    """Let so many workers live through an expiry in this way; the same seed, the same tally."""
    world = World(seed)
    sharing = way.sharing or workers
    groups = [min(sharing, workers - first) for first in range(0, workers, sharing)]
    # The token before this one expired for all at once too, so all got this one at about its start.
    moments = sorted(world.random.uniform(0, 10) for _ in groups)
    for size, world.now in zip(groups, moments, strict=True):
        token, _ = world.ask()
        store = LockableStore(STORE_TRIP if size > 1 else 0.0)
        store.save("", token)
        for _ in range(size):
            worker = Peer(world, token) if way is PEERS else Worker(world, store, token)
            world.resume(worker.calls(), EXPIRY + BEGIN - world.now)
    world.tally = Tally()
    world.run(EXPIRY + END)
    return world.tally


def table(tallies: Mapping[Way, Tally], workers: int) -> Table:
    """What each way costs."""
    columns = (
        Column("token requests", "{:,}"),
        Column("in the worst second", "{:,}"),
        Column("failed calls", "{:,}"),
        Column("repaired calls", "{:,}"),
        Column("calls that waited", "{:,}"),
        Column("longest wait", "{:.1f} s"),
    )
    rows = []
    for way, tally in tallies.items():
        requests = (tally.requested(), max(tally.requests.values()))
        calls = (tally.failed, tally.repaired, tally.waited, tally.longest_wait)
        rows.append(Row(way.name, "", requests + calls))
    note = (
        f"{workers:,} workers, each with a call every {PAUSE:g} s on average, "
        f"from {-BEGIN / 60:g} min before the token expires to {END / 60:g} min after."
    )
    return Table("A fleet at the expiry of its token", note, columns, rows)


def plot(tallies: Mapping[Way, Tally], workers: int, path: Path) -> None:
    """Token requests per second as a picture: a row for each way, its right half enlarged."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(10, 9), layout="constrained")
    figure.suptitle(f"{workers:,} workers at the expiry of their token", fontsize=14)
    figure.supylabel("token requests per second")
    panels = figure.subplots(
        len(tallies), 2, sharex="col", sharey=True, squeeze=False, width_ratios=(1, 1.5)
    )
    for (way, tally), row in zip(tallies.items(), panels, strict=True):
        seconds, requests = zip(*sorted(tally.requests.items()), strict=True)
        for panel in row:
            color = "tab:red" if way is PEERS else "tab:blue"
            panel.bar(seconds, requests, width=1.0, align="edge", color=color)
            panel.axvline(0, color="black", linewidth=1, label="the token expires")
            panel.axhline(
                1 / SERVICE, color="gray", linestyle=":", label="as many as the endpoint can answer"
            )
            panel.grid(axis="y", alpha=0.3)
            panel.set_axisbelow(True)
        row[0].set_title(f"{way.name}: {tally.requested():,} in all", loc="left", fontsize=11)
    panels[0][0].set(yscale="log", ylim=(0.5, 4000), xlim=(BEGIN, CLOSE))
    panels[0][0].yaxis.set_major_formatter(FuncFormatter("{:,.0f}".format))
    panels[0][1].set_xlim(CLOSE, OVER)
    for panel in panels[-1]:
        panel.set_xlabel("seconds from the expiry")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate all four ways, print what they cost, and plot it if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to put a picture (PNG)")
    options = parser.parse_args(arguments)
    tallies = {way: simulate(way, options.workers, options.seed) for way in WAYS}
    print(table(tallies, options.workers).text())
    if options.plot:
        plot(tallies, options.workers, options.plot)


if __name__ == "__main__":
    main()
