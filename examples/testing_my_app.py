"""Testing your own code: what pytest runs for you with the fixture `mediahound_server`."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

TEST = """
import requests
from mediahound_auth.requests import MediaHoundAuth

def status_of_a_search(api):  # your code
    return requests.get(f"{api}/1.3/search/all/Gladiator", auth=MediaHoundAuth()).status_code

def test_a_revoked_token_is_no_trouble(mediahound_server):
    assert status_of_a_search(mediahound_server.url) == 200
    mediahound_server.revoke_tokens()
    assert status_of_a_search(mediahound_server.url) == 200
    assert len(mediahound_server.token_requests) == 2
    print("HTTP 200 both times")
"""

with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    Path("test_app.py").write_text(TEST)
    sys.exit(pytest.main(["--quiet", "-rP", "-p", "no:cacheprovider", "test_app.py"]))
