"""FileStore: owners and permissions."""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from mediahound_auth import Token
from mediahound_auth.stores.file import FileStore

KEY = "ab" * 32


def a_token() -> Token:
    now = time.time()
    return Token("f00-ba7", expires_at=now + 3600, requested_at=now)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_whatever_the_umask_only_the_owner_has_access(
    store: FileStore, folder: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        store.save(KEY, a_token())
        with store.lock(KEY, 1):
            pass
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert {path.suffix: mode(path) for path in folder.iterdir()} == {
        ".json": 0o600,
        ".lock": 0o600,
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_parents_that_are_created_are_for_the_owner_only(tmp_path: Path, umask: int) -> None:
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    before = os.umask(umask)
    try:
        FileStore(there / "one" / "two" / "three").save(KEY, a_token())
    finally:
        os.umask(before)
    created = [there / "one", there / "one" / "two", there / "one" / "two" / "three"]
    assert [mode(folder) for folder in created] == [0o700] * 3
    assert mode(there) == 0o755, "it was there before"


@pytest.mark.parametrize("rights", [0o755, 0o777, 0o710, 0o701, 0o2775])
def test_a_folder_that_others_may_enter_is_tightened_with_one_warning(
    store: FileStore, folder: Path, caplog: pytest.LogCaptureFixture, rights: int
) -> None:
    store.save(KEY, a_token())
    folder.chmod(rights)
    for _ in range(3):
        assert store.load(KEY) is not None
    store.save(KEY, a_token())
    assert mode(folder) == 0o700
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mediahound_auth", logging.WARNING)
    assert str(folder) in record.message


@pytest.mark.parametrize("rights", [0o640, 0o666, 0o604, 0o602])
def test_a_file_that_others_may_access_is_tightened_with_one_warning(
    store: FileStore, folder: Path, caplog: pytest.LogCaptureFixture, rights: int
) -> None:
    store.save(KEY, a_token())
    file = folder / f"{KEY}.json"
    file.chmod(rights)
    for _ in range(3):
        assert store.load(KEY) is not None
    assert mode(file) == 0o600
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mediahound_auth", logging.WARNING)
    assert str(file) in record.message


def test_a_private_folder_logs_nothing(store: FileStore, caplog: pytest.LogCaptureFixture) -> None:
    store.save(KEY, a_token())
    with store.lock(KEY, 1):
        store.load(KEY)
        store.discard(KEY)
    assert not caplog.records


def test_a_shared_folder_that_holds_other_things_is_rejected_and_left_alone(
    store: FileStore, folder: Path
) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "letters").write_text("private")
    with pytest.raises(PermissionError, match="pass a folder of its own"):
        store.save(KEY, a_token())
    assert mode(folder) == 0o755
    assert [path.name for path in folder.iterdir()] == ["letters"]


def test_a_folder_that_belongs_to_another_user_is_rejected(
    store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(KEY, a_token())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for use in (store.load, store.discard, lambda key: store.save(key, a_token())):
        with pytest.raises(PermissionError, match="belongs to another user"):
            use(KEY)
    with pytest.raises(PermissionError, match=str(folder)), store.lock(KEY, 1):
        pass


def test_a_file_that_belongs_to_another_user_is_rejected(
    store: FileStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(KEY, a_token())
    if os.getuid() == 0:
        os.chown(folder / f"{KEY}.json", 12345, -1)
    else:  # who cannot give files away
        really = os.fstat

        def fstat(fd: int) -> os.stat_result:
            info = really(fd)
            strangers = list(info)
            strangers[stat.ST_UID] += 1
            return os.stat_result(strangers) if stat.S_ISREG(info.st_mode) else info

        monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(PermissionError, match="belongs to another user"):
        store.load(KEY)


def test_a_folder_that_is_a_symbolic_link_is_rejected(
    store: FileStore, folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(PermissionError, match="symbolic link"):
        store.save(KEY, a_token())
    assert not list(elsewhere.iterdir())


# Symbolic links on the way to the folder.


def test_a_symbolic_link_of_ours_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "relative").symlink_to("real")
    (tmp_path / "link").symlink_to(tmp_path / "relative")
    FileStore(tmp_path / "link" / "tokens").save(KEY, a_token())
    assert FileStore(tmp_path / "real" / "tokens").load(KEY) is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give links away")
@pytest.mark.parametrize("behind", [False, True], ids=["on the way", "behind a link of ours"])
def test_a_symbolic_link_of_another_user_on_the_way_is_rejected(
    tmp_path: Path, behind: bool
) -> None:
    real, planted, ours = tmp_path / "real", tmp_path / "planted", tmp_path / "ours"
    real.mkdir(mode=0o700)
    planted.symlink_to(real)
    os.lchown(planted, 12345, -1)
    ours.symlink_to(planted)
    store = FileStore((ours if behind else planted) / "cache" / "tokens")
    for use in (store.load, store.discard, lambda key: store.save(key, a_token())):
        with pytest.raises(PermissionError, match="symbolic link belongs to another user"):
            use(KEY)
    with pytest.raises(PermissionError, match=str(planted)), store.lock(KEY, 1):
        pass
    assert not list(real.iterdir())


@pytest.mark.parametrize("target", ["link", "nowhere"], ids=["circle", "dangling"])
def test_a_symbolic_link_that_leads_nowhere_is_an_os_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match=str(tmp_path)):
        FileStore(tmp_path / "link" / "tokens").save(KEY, a_token())


def test_a_file_that_is_a_symbolic_link_is_not_read_and_its_target_not_written(
    store: FileStore, folder: Path, tmp_path: Path
) -> None:
    store.save(KEY, a_token())
    file, target = folder / f"{KEY}.json", tmp_path / "target"
    target.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(target)
    before = target.read_bytes()
    with pytest.raises(PermissionError, match="symbolic link"):
        store.load(KEY)
    with pytest.raises(PermissionError, match="symbolic link"):
        store.save(KEY, a_token())
    assert target.read_bytes() == before


def test_a_file_in_place_of_the_folder_is_an_os_error(store: FileStore, folder: Path) -> None:
    folder.write_text("private")
    for use in (store.load, store.discard, lambda key: store.save(key, a_token())):
        with pytest.raises(OSError, match=str(folder)):
            use(KEY)
    assert folder.read_text() == "private"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_folder_or_pipe_in_place_of_a_file_is_an_error_at_once(
    store: FileStore, folder: Path, kind: str
) -> None:
    store.save(KEY, a_token())
    file = folder / f"{KEY}.json"
    file.unlink()
    if kind == "folder":
        file.mkdir(mode=0o700)
    else:
        os.mkfifo(file, 0o600)
    with pytest.raises((OSError, ValueError)):
        store.load(KEY)


@pytest.mark.parametrize("missing", ["filelock", "platformdirs"])
def test_without_its_packages_importing_it_names_the_extra(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "mediahound_auth.stores.file")
    from mediahound_auth import stores

    with pytest.raises(ModuleNotFoundError, match=r"mediahound-auth\[file\]") as caught:
        _ = stores.FileStore
    assert caught.value.name == missing
