"""Worker processes, as gunicorn has them, that share one token through a file."""

from __future__ import annotations

import multiprocessing
import os
import tempfile

import requests

from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore


def work(api: str, folder: str) -> tuple[int, int]:
    # A program of yours would say FileStore(), which is a folder in the user's cache.
    auth = MediaHoundAuth(store=FileStore(folder))
    response = requests.get(f"{api}/1.3/search/all/Gladiator", auth=auth, timeout=10)
    return os.getpid(), response.status_code


if __name__ == "__main__":
    api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")
    with tempfile.TemporaryDirectory() as folder:
        processes = multiprocessing.get_context("spawn")
        with processes.Pool(4) as workers:
            for pid, status in workers.starmap(work, [(api, folder)] * 8, chunksize=1):
                print(f"worker {pid}: {status}")
        print("token files:", len([name for name in os.listdir(folder) if name.endswith(".json")]))
