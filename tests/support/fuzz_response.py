"""A fuzz target for the reading of answers: `python tests/support/fuzz_response.py -runs=100000`.

atheris (libFuzzer) looks for octets that lead to new branches; what is promised of each answer is
in response_promises.py. All options are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mediahound_auth"]):
    from response_promises import keep

SEEDS = [
    b'\xc8\x00{"access_token": "f00-ba7", "token_type": "bearer", "expires_in": 1209600}',
    b'\xc8\x00{"access_token": "f00", "expires_in": "60", "scope": ["a", "b"]}',
    b'\x91\x01{"error": "invalid_client", "error_description": "TopSecret-\\u00fc%:"}',
    b"\xf7\x0130\n<html>known-access-token</html>",
    b"\xc8\x00access_token=f00&token_type=bearer",
]
WORDS = ["access_token", "token_type", "expires_in", "scope", "error", "error_description"]
WORDS += ["bearer", "invalid_client", "known-access-token", "TopSecret-", "1e400", "NaN", "null"]


def one(data: bytes) -> None:
    """Two octets are the status, a line is Retry-After, the rest is the body."""
    status = 200 + int.from_bytes(data[:2], "little") % 400
    line, _, body = data[2:].partition(b"\n")
    headers = {"Retry-After": line.decode("latin-1")} if body else {}
    keep(status, headers, body or line)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS):
            Path(folder, f"seed-{number}").write_bytes(seed)
        words = Path(folder, "words")
        words.write_text("".join(f'"{word}"\n' for word in WORDS))
        atheris.Setup([*sys.argv, f"-dict={words}", "-verbosity=0", folder], one)
        atheris.Fuzz()
