"""What a fleet costs when its token expires, simulated anew whenever one of its rules has changed.

The simulation takes half a minute, so what it says is kept beside the built pages.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from math import log10
from pathlib import Path

from benchmarks import fleet
from benchmarks.simulation import SERVICE, Tally
from docs.svg import BRAND, FAINT, INK

ROOT = Path(__file__).parent.parent
WORKERS = 10_000
RULES = (
    "benchmarks/simulation.py",
    "benchmarks/fleet.py",
    "mediahound_auth/_core/response.py",
    "mediahound_auth/_core/lifecycle.py",
    "docs/fleets.py",
)
# The two halves of each picture: from, to and step of the ticks, in seconds from the expiry.
HALVES = ((-360, -40, 80), (-40, 25, 10))
WIDTH, HEIGHT, LEFT, TOP = 350, 120, 40, 8
MOST = 4000  # requests per second that the height stands for; the scale is logarithmic


def pages(kept: Path, workers: int = WORKERS) -> dict[str, str]:
    """The Markdown to include, by name; `kept` is the folder that holds what was simulated."""
    tallies = _tallies(kept, workers)
    table = fleet.table(tallies, workers)
    pictures = [
        f"### {way.name.capitalize()}: {tally.requested():,} token requests\n\n{_picture(tally)}"
        for way, tally in tallies.items()
    ]
    return {
        "fleet": table.markdown().split("\n", 2)[2].replace("\n\n|", "\n\n{.stacked}\n|") + "\n",
        "fleet-pictures": "\n".join(pictures),
    }


def _tallies(kept: Path, workers: int) -> dict[fleet.Way, Tally]:
    rules = hashlib.sha256(str(workers).encode())
    for name in RULES:
        rules.update((ROOT / name).read_bytes())
    file = kept / f"fleet-{rules.hexdigest()[:16]}.json"
    if not file.exists():
        simulated = [vars(fleet.simulate(way, workers)) for way in fleet.WAYS]
        file.write_text(json.dumps(simulated), "utf-8")
    tallies = []
    for fields in json.loads(file.read_text("utf-8")):
        requests = Counter({int(second): n for second, n in fields.pop("requests").items()})
        tallies.append(Tally(requests=requests, **fields))
    return dict(zip(fleet.WAYS, tallies, strict=True))


def _picture(tally: Tally) -> str:
    halves = "\n".join(_half(tally, *half) for half in HALVES)
    return f'<div class="panels">\n{halves}\n</div>\n'


def _half(tally: Tally, begin: int, end: int, step: int) -> str:
    """Token requests per second from `begin` to `end`, as a bar each."""

    def x(second: float) -> float:
        return LEFT + (second - begin) / (end - begin) * (WIDTH - LEFT - 8)

    def y(requests: float) -> float:
        # Half a request is the bottom, so that one can be seen.
        return TOP + HEIGHT * (1 - log10(max(requests, 0.5) / 0.5) / log10(MOST / 0.5))

    shapes = []
    for n in (1, 10, 100, 1000):
        shapes.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(n):.1f}" y2="{y(n):.1f}" stroke="{FAINT}" '
            f'stroke-width="0.5" {"" if n < 1 / SERVICE else _DOTS}/>'
            f'<text x="{LEFT - 5}" y="{y(n) + 4:.1f}" text-anchor="end">{n:,}</text>'
        )
    width = x(begin + 1) - x(begin)
    for second, n in sorted(tally.requests.items()):
        if begin <= second < end:
            shapes.append(
                f'<rect x="{x(second):.1f}" y="{y(n):.1f}" width="{width:.2f}" '
                f'height="{TOP + HEIGHT - y(n):.1f}" fill="{BRAND}"/>'
            )
    base = TOP + HEIGHT
    shapes.append(f'<path d="M{LEFT},{base} H{WIDTH - 8}" stroke="{INK}"/>')
    for second in range(begin, end + 1, step):
        anchor = "end" if second == end else "middle"
        shapes.append(
            f'<text x="{x(second):.1f}" y="{base + 15}" text-anchor="{anchor}">{second} s</text>'
        )
    if begin <= 0 <= end:
        shapes.append(f'<path d="M{x(0):.1f},{TOP} V{base}" stroke="{INK}"/>')
    title = f"Token requests per second, from {begin} to {end} seconds from the expiry"
    body = "\n".join(shapes)
    return (
        f'<svg viewBox="0 0 {WIDTH} {base + 22}" role="img" aria-label="{title}" font-size="11" '
        f'fill="{FAINT}" xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>'
    )


_DOTS = 'stroke-dasharray="2 3" style="stroke-width:1.5"'
