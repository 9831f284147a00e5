"""`python -m benchmarks [--quick] [case ...]`: measure, print, and write results.json and .md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from benchmarks import calls, herds, imports, memory, responses, stores, streaks, waiting
from benchmarks.contenders import OURS, STATIC, Contender, ours
from benchmarks.peers import peers
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.table import Table, summary

Case = Callable[[Iterable[Contender], Scale], Table]

# What is measured by the clock comes first: the herds leave the machine warm.
CASES: dict[str, Case] = {
    "attaching": calls.attaching,
    "stores": stores.by_store,
    "throughput": calls.throughput,
    "import": imports.import_time,
    "memory": memory.per_object,
    "responses": responses.processing,
    "renewals": responses.renewals,
    "hostile": responses.hostile_401,
    "loop": waiting.event_loop,
    "during": waiting.during_renewals,
    "load": waiting.under_load,
    "cold": herds.cold,
    "expiry": herds.at_expiry,
    "revocation": herds.at_revocation,
    "down": herds.endpoint_down,
    "reissued": streaks.last_seconds,
    "rejected": streaks.always_401,
    "refused": streaks.wrong_secret,
}

# Too long for a quick look.
LONG = {"load"}

FOLDER = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--quick", action="store_true", help="a look in about a minute")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    options = parser.parse_args(arguments)
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")

    # Libraries log their retries, and without a handler that goes to the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    contenders = ours() + ([] if options.alone else peers())
    scale = QUICK if options.quick else FULL
    tables = []
    for name in options.cases or [case for case in CASES if not (options.quick and case in LONG)]:
        started = time.monotonic()
        tables.append(CASES[name](contenders, scale))
        print(tables[-1].text())
        print(f"[{name}: {time.monotonic() - started:.0f} s]\n", flush=True)
    short = summary(tables, OURS, STATIC)
    print(short.text())
    if not (options.quick or options.alone or options.cases):
        write(short, tables)


def write(short: Table, tables: list[Table]) -> None:
    """Leave the results of a full run beside this file."""
    command = "python -m benchmarks"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    versions = {name: version(name) for name in ("requests", "httpx", OURS)}
    data = {
        "command": command,
        "python": platform.python_version(),
        "system": system,
        "versions": versions,
        "summary": short.data(),
        "cases": [table.data() for table in tables],
    }
    results = FOLDER / "results.json"
    results.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    numbered = ", ".join(f"{name} {number}" for name, number in versions.items())
    text = [
        "# Benchmarks",
        "",
        f"`{command}` with CPython {data['python']} on {system}; {numbered}.",
        "All arms are measured in one run, in turn. “×” stands for a ratio to what is said in the",
        "text; “–” is what a contender does not do, “caller fetches” where it is left to its user.",
        "",
        *(table.markdown() + "\n" for table in (short, *tables)),
    ]
    (FOLDER / "results.md").write_text("\n".join(text))
    print(f"\nwritten: {results} and .md", file=sys.stderr)


if __name__ == "__main__":
    main()
