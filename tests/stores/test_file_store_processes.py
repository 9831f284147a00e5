"""FileStore among processes that are killed."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediahound_auth import Token
from mediahound_auth.stores.file import FileStore

KEY = "ab" * 32


def a_token(name: str = "f00-ba7", *, age: float = 0.0) -> Token:
    now = time.time()
    return Token(name, expires_at=now - age + 3600, requested_at=now - age)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder)


@contextmanager
def another_process(store: FileStore, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has run `code`, with `store`, KEY and `a_token`, up to its `ready()`."""
    lines = [
        "import os, signal, sys, time",
        "from mediahound_auth import Token",
        "from mediahound_auth.stores.file import FileStore",
        f"store, KEY = FileStore({os.fspath(store.path)!r}), {KEY!r}",
        "a_token = lambda name: Token(name, time.time() + 3600, time.time())",
        "ready = lambda: (print('ready', flush=True), signal.pause())",
        code,
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def files(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def test_readers_see_whole_files_while_others_write(store: FileStore) -> None:
    known = {length: a_token("x" * length) for length in (1, 100_000)}
    store.save(KEY, known[1])
    done = threading.Event()

    def write() -> None:
        try:
            for _ in range(100):
                for token in known.values():
                    store.save(KEY, token.replace(requested_at=time.time()))
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    lengths = set()
    while not done.is_set():
        found = store.load(KEY)
        assert found is not None
        lengths.add(len(found.access_token))
    writer.join()
    assert lengths <= known.keys()


def test_a_writer_killed_half_way_leaves_the_old_token_and_no_litter(
    store: FileStore, folder: Path
) -> None:
    token = a_token("old", age=60)
    store.save(KEY, token)
    code = "os.replace = lambda *_: ready()\nstore.save(KEY, a_token('new'))"
    with another_process(store, code) as writer:
        assert len(files(folder, "*.tmp")) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert store.load(KEY) == token
    (litter,) = folder.glob("*.tmp")
    assert stat.S_IMODE(litter.stat().st_mode) == 0o600
    store.save(KEY, a_token("new"))
    assert files(folder, "*.tmp") == [litter.name], "it may belong to a writer that is at work"
    long_ago = time.time() - 3600
    os.utime(litter, (long_ago, long_ago))
    store.save(KEY, a_token("newer"))
    assert files(folder, "*.tmp") == []


def test_a_write_that_fails_leaves_the_old_token_and_no_litter(
    store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = a_token()
    store.save(KEY, token)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        store.save(KEY, a_token("new"))
    assert store.load(KEY) == token
    assert files(folder, "*.tmp") == []


# Locks.


def test_the_lock_excludes_other_processes_and_is_released_when_its_holder_is_killed(
    store: FileStore,
) -> None:
    with another_process(store, "with store.lock(KEY, 5): ready()") as holder:
        with pytest.raises(TimeoutError), store.lock(KEY, 0.1):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with store.lock(KEY, 5):
            pass


def test_a_writer_that_was_stopped_half_way_holds_up_others_only_briefly(
    store: FileStore,
) -> None:
    code = "os.replace = lambda *_: ready()\nstore.save(KEY, a_token('stopped'))"
    with another_process(store, code):
        store.save(KEY, a_token("new"))
    found = store.load(KEY)
    assert found is not None
    assert found.access_token == "new"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_locking_fails_one_warning_is_logged(
    store: FileStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with store.lock(KEY, 1):
        store.save(KEY, a_token("f00"))
        # Within this process it still excludes.
        with pytest.raises(TimeoutError), store.lock(KEY, 0):
            pass
    with FileStore(store.path).lock(KEY, 1):
        pass
    found = store.load(KEY)
    assert found is not None
    assert found.access_token == "f00"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mediahound_auth", logging.WARNING)
    assert f"{store.path} cannot be locked" in record.message
