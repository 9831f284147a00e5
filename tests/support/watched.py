"""What is logged and counted, for tests to look at."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from mediahound_auth import _events as events

ALWAYS = {"event", "outcome"}
WHO = {"client_id", "server"}


class Records(logging.Handler):
    """What is logged, told apart by event; a test can wait for what comes from other threads."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []
        self._more = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._more:
            self.all.append(record)
            self._more.notify_all()

    def of(self, event: str, n: int = 1) -> list[dict[str, object]]:
        """The fields of the first `n` records of this event, as soon as they are there."""

        def there() -> list[logging.LogRecord]:
            return [record for record in self.all if vars(record)["event"] == event]

        with self._more:
            assert self._more.wait_for(lambda: len(there()) >= n, 10), self.all
            return [fields(record) for record in there()]


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Those that are filled; each record has them all."""
    values = {name: vars(record)[name] for name in events.FIELDS}
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def recording() -> Iterator[Records]:
    """Everything that is logged inside the block."""
    handler, log = Records(), logging.getLogger("mediahound_auth")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


@cache
def metric_reader() -> InMemoryMetricReader:
    """Of the provider that this process has from here on: one can be set, once."""
    reader = InMemoryMetricReader()
    set_meter_provider(MeterProvider([reader]))
    return reader


def counted(reader: InMemoryMetricReader, client_id: str) -> dict[tuple[str, str], int]:
    """How often, by metric and by outcome or operation; only what this client did."""
    data = reader.get_metrics_data()
    counts = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = dict(point.attributes or {})
                    if attributes.pop("client_id", None) != client_id:
                        continue
                    assert attributes.pop("server.address") == "127.0.0.1"
                    assert attributes.pop("server.port")
                    if attributes.pop("background", True) is False:
                        continue
                    [what] = attributes.values()
                    n = point.value if isinstance(point, NumberDataPoint) else point.count
                    name = metric.name.removeprefix("mediahound_auth.")
                    counts[name, str(what)] = int(n)
    return counts
