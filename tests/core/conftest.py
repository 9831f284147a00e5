"""What tests of log records and metrics share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from watched import Records


@pytest.fixture
def records() -> Iterator[Records]:
    from watched import recording  # here: few tests need OpenTelemetry

    with recording() as records:
        yield records


@pytest.fixture
def reader() -> InMemoryMetricReader:
    from watched import metric_reader

    return metric_reader()
