"""A client secret from a mounted file, which may be rotated while the program runs."""

import os
import tempfile
from pathlib import Path

import requests

from mediahound_auth.requests import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")

with tempfile.TemporaryDirectory() as folder:
    mounted = Path(folder) / "client-secret"  # Kubernetes and Docker put it under /run/secrets
    mounted.write_text(os.environ["MEDIAHOUND_CLIENT_SECRET"] + "\n")
    auth = MediaHoundAuth(client_secret=lambda: mounted.read_text().strip())
    response = requests.get(f"{api}/1.3/search/all/Gladiator", auth=auth, timeout=30)
    print("Gladiator: HTTP", response.status_code)
