"""What an auth object weighs."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable

from benchmarks.contenders import Contender
from benchmarks.scale import Scale
from benchmarks.sessions import serving
from benchmarks.table import Column, Row, Table
from mediahound_auth.testing import Credentials


def per_object(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What one more auth object for the same client weighs."""
    rows = []
    with serving() as server:
        for contender in contenders:
            weight = _weight(contender, server.credentials, scale.objects)
            rows.append(Row(contender.name, contender.kind, (weight / 1024,)))
    note = (
        f"The mean of {scale.objects} objects with the same credentials, before the first"
        " token. The largest ones contain an HTTP session, or are one."
    )
    return Table("Memory", note, (Column("per auth object", "{:.1f} KiB"),), rows)


def _weight(contender: Contender, credentials: Credentials, number: int) -> float:
    """Bytes."""
    kept = [contender.make(credentials, 30.0)]  # what the first one makes once for all
    gc.collect()
    tracemalloc.start()
    kept += [contender.make(credentials, 30.0) for _ in range(number)]
    gc.collect()
    weight, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return weight / number
