"""gunicorn, uWSGI and Celery."""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from scripts import printed, started

from mediahound_auth.testing import MediaHoundServer

BIN = Path(sys.executable).parent

APP = """
import os
import requests
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore

url = os.environ["SERVER"]
auth = MediaHoundAuth(origins=[url], store=FileStore(os.environ["TOKENS"]), timeout=20)

def app(environ, start_response):
    status = requests.get(url + "/status/200", auth=auth, timeout=20).status_code
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % status]
"""

SERVERS = {
    # Imports the app, and what that imports, before gevent patches anything.
    "gunicorn": "gunicorn --chdir {folder} --preload -k gevent -w 2 --graceful-timeout 2 "
    "-b fd://{fd} app:app",
    "uwsgi": "uwsgi --chdir {folder} --master --processes 2 --die-on-term --need-app "
    "--http-socket fd://{fd} --wsgi-file app.py --callable app",
    "uwsgi with threads": "uwsgi --chdir {folder} --master --processes 2 --threads 4 --die-on-term "
    "--need-app --http-socket fd://{fd} --wsgi-file app.py --callable app",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.uwsgi] if "uwsgi" in name else []) for name in SERVERS],
)
def test_the_workers_of_a_server_share_a_token(
    name: str, server: MediaHoundServer, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    tokens = str(tmp_path / "tokens")
    # It listens from here on, so that the first call waits until the server is there.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        program, *arguments = SERVERS[name].format(folder=tmp_path, fd=listening.fileno()).split()
        command = [str(BIN / program), *arguments]
        fds = [listening.fileno()]
        with started(*command, server=server, fds=fds, env={"TOKENS": tokens}) as process:
            with ThreadPoolExecutor(8) as pool:
                said = list(pool.map(lambda _: requests.get(address, timeout=50).text, range(16)))
            process.terminate()
            process.communicate(timeout=30)
    assert said == ["200"] * 16
    assert len(server.token_requests) == 1


TASKS = """
import os
import requests
from celery import Celery
from mediahound_auth.requests import MediaHoundAuth

url, folder = os.environ["SERVER"], os.environ["FOLDER"]
auth = MediaHoundAuth(origins=[url], timeout=20)
app = Celery("tasks", broker="filesystem://", backend="file://" + folder)
app.conf.broker_transport_options = {
    "data_folder_in": folder, "data_folder_out": folder, "control_folder": folder
}
app.conf.broker_connection_retry_on_startup = False
app.conf.result_backend_always_retry = False

@app.task
def call():
    return requests.get(url + "/status/200", auth=auth, timeout=20).status_code

auth.token()  # before Celery forks: all processes go on with it
"""


@pytest.mark.programs  # its workers take ten seconds to start
def test_celery_workers_use_the_token_from_before_the_fork(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "queue").mkdir()
    options = "-P prefork -c 2 --without-gossip --without-mingle --without-heartbeat"
    work = [str(BIN / "celery"), "-A", "tasks", "worker", *options.split()]
    ask = "from tasks import call\ntasks = [call.delay() for _ in range(4)]\n"
    ask += "print([task.get(timeout=50) for task in tasks])"
    env = {"FOLDER": str(tmp_path / "queue"), "PYTHONPATH": str(tmp_path)}
    with started(*work, server=server, env=env) as worker:
        said = printed(ask, server, env=env, cold=True)
        worker.terminate()
        worker.communicate(timeout=30)
    assert said == "[200, 200, 200, 200]"
    assert len(server.token_requests) == 2  # of the worker, and of the script that asks
