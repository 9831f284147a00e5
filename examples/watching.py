"""Logging and metrics: log records with fields, and OpenTelemetry metrics.

Real programs export their metrics; this one keeps them in memory, to print them in a few lines.
"""

import logging
import os
import sys

import requests
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from mediahound_auth.requests import MediaHoundAuth

reader = InMemoryMetricReader()
set_meter_provider(MeterProvider([reader]))

handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(levelname)-7s %(event)s %(outcome)s: %(message)s"))
log = logging.getLogger("mediahound_auth")
log.addHandler(handler)
log.setLevel(logging.DEBUG)

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")

with requests.Session() as session:
    session.auth = MediaHoundAuth()
    for title in ("Gladiator", "Alien", "Jaws"):
        response = session.get(f"{api}/1.3/search/all/{title}")
        print(f"        {title}: HTTP {response.status_code}")

data = reader.get_metrics_data()
assert data is not None
for metric in data.resource_metrics[0].scope_metrics[0].metrics:
    for point in metric.data.data_points:
        print(metric.name, dict(point.attributes or {})["outcome"], getattr(point, "value", ""))
