"""FileStore: its files, and damaged files."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from mediahound_auth import ConfigurationError, Token
from mediahound_auth.stores.file import FileStore

KEY = "ab" * 32


def a_token(name: str = "f00-ba7", *, age: float = 0.0, life: float = 3600.0) -> Token:
    now = time.time()
    return Token(name, expires_at=now - age + life, requested_at=now - age)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder)


def files(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


def test_no_folder_is_created_before_a_token_is_saved(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tokens")
    assert store.load(KEY) is None
    store.discard(KEY)
    assert not list(tmp_path.iterdir())


def test_there_is_one_file_for_each_key(store: FileStore, folder: Path) -> None:
    for _ in range(3):
        store.save(KEY, a_token())
        store.save("cd" * 32, a_token())
    assert files(folder, "*.json") == [f"{KEY}.json", f"{'cd' * 32}.json"]
    assert files(folder, "*.tmp") == []


def test_a_file_holds_the_token_and_no_secret(store: FileStore, folder: Path) -> None:
    token = a_token()
    store.save(KEY, token)
    assert json.loads((folder / f"{KEY}.json").read_bytes()) == {
        "format": 2,
        "key": KEY,
        **token.as_dict(),
    }


def test_another_store_on_the_same_folder_finds_it(store: FileStore, folder: Path) -> None:
    token = a_token()
    store.save(KEY, token)
    assert FileStore(str(folder)).load(KEY) == token


def test_the_default_folder_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = FileStore()
    assert store.path == platformdirs.user_cache_path("mediahound-auth")
    assert not store.path.exists()
    store.save(KEY, a_token())
    assert files(store.path, "*.json") == [f"{KEY}.json"]


@pytest.mark.parametrize("variables", [{}, {"XDG_CACHE_HOME": "cache"}], ids=["none", "relative"])
@pytest.mark.parametrize("version", ["raises", "returns a relative path"])
def test_the_error_for_a_user_without_a_home_folder_names_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], version: str
) -> None:
    import platformdirs

    def no_entry(_: int) -> None:
        raise KeyError("no such user")

    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("pwd.getpwuid", no_entry)
    if version != "raises":  # as platformdirs before 4.4 does
        relative = Path("~/.cache/mediahound-auth")
        monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: relative)
    with pytest.raises(ConfigurationError, match="pass path="):
        FileStore()
    FileStore(tmp_path / "tokens").save(KEY, a_token())
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_a_relative_path_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileStore("tokens")
    monkeypatch.chdir("/")
    store.save(KEY, a_token())
    assert files(tmp_path / "tokens", "*.json") == [f"{KEY}.json"]


@pytest.mark.parametrize("path", ["", b"tokens", 7, "a\0b"], ids=["empty", "bytes", "int", "NUL"])
def test_an_invalid_path_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        FileStore(path)


@pytest.mark.parametrize("key", ["", "..", "../escape", "a/b", "a\0b", "é", "a" * 200])
def test_a_key_never_leads_out_of_the_folder(store: FileStore, key: str, folder: Path) -> None:
    for use in (store.load, store.discard, lambda k: store.save(k, a_token())):
        with pytest.raises(ValueError, match="key"):
            use(key)
    with pytest.raises(ValueError, match="key"), store.lock(key, 0):
        pass
    assert not folder.exists()


def test_stores_on_the_same_folder_are_equal(folder: Path) -> None:
    key = Fernet.generate_key()
    assert FileStore(folder) == FileStore(str(folder))
    assert hash(FileStore(folder)) == hash(FileStore(str(folder)))
    assert FileStore(folder) != FileStore(folder.parent)
    assert FileStore(folder) != FileStore(folder, encryption_key=key)


def test_a_pickle_of_it_finds_the_same_tokens(folder: Path) -> None:
    store = FileStore(folder, encryption_key=Fernet.generate_key())
    store.save(KEY, a_token("f00"))
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert copy.load(KEY).access_token == "f00"


def test_its_repr_shows_the_folder_and_no_key(folder: Path) -> None:
    key = Fernet.generate_key().decode()
    assert repr(FileStore(folder)) == f"FileStore('{folder}')"
    assert repr(FileStore(folder, encryption_key=key)) == (
        f"FileStore('{folder}', encryption_key=...)"
    )


# The file is damaged, encrypted, or expired.


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff garbage", b'{"format": 3}', b"x" * (1 << 22) + b"x"],
    ids=["empty", "garbage", "another version", "endless"],
)
def test_a_file_that_is_no_record_is_an_error_until_it_is_replaced(
    store: FileStore, folder: Path, content: bytes
) -> None:
    store.save(KEY, a_token())
    (folder / f"{KEY}.json").write_bytes(content)
    with pytest.raises(ValueError, match="record"):
        store.load(KEY)
    token = a_token("new", age=7)
    store.save(KEY, token)
    assert store.load(KEY) == token


def test_a_token_that_has_expired_gives_way_to_one_requested_earlier(store: FileStore) -> None:
    store.save(KEY, a_token("dead", age=10, life=5))
    store.save(KEY, a_token("alive", age=20))
    found = store.load(KEY)
    assert found is not None
    assert found.access_token == "alive"


@pytest.mark.parametrize(
    "encryption_key", [None, Fernet.generate_key()], ids=["plain", "encrypted"]
)
def test_a_record_moved_under_another_key_is_a_miss_and_is_replaced(
    folder: Path, encryption_key: bytes | None
) -> None:
    store = FileStore(folder, encryption_key=encryption_key)
    store.save("cd" * 32, a_token("another"))
    (folder / f"{'cd' * 32}.json").rename(folder / f"{KEY}.json")
    assert store.load(KEY) is None
    token = a_token("mine", age=7)
    store.save(KEY, token)
    assert store.load(KEY) == token


def test_an_encrypted_file_shows_nothing_and_is_a_miss_without_its_key(folder: Path) -> None:
    store = FileStore(folder, encryption_key=Fernet.generate_key())
    store.save(KEY, a_token("f00-ba7"))
    assert b"f00-ba7" not in (folder / f"{KEY}.json").read_bytes()
    other = FileStore(folder, encryption_key=Fernet.generate_key())
    assert other.load(KEY) is None
    token = a_token("mine", age=7)
    other.save(KEY, token)
    assert other.load(KEY) == token
