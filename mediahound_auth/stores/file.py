"""The store in files: one token for all processes of a user on a machine."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from mediahound_auth._extras import missing_extra

try:
    import filelock
    import platformdirs
except ModuleNotFoundError as _error:
    raise missing_extra(_error, "FileStore", "file", "filelock", "platformdirs") from None

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.stores.memory import MemoryStore
from mediahound_auth.stores.records import EncryptionKey, Records
from mediahound_auth.token import Token

__all__ = ["FileStore"]

# Octets of a record that are read at most: more than the longest token makes, even when sealed.
MAX_RECORD_SIZE = 1 << 22

# Seconds. A temporary file that is older was left behind by a process that died.
STALE = 60.0

# Seconds. Looking and replacing takes milliseconds; whoever takes longer has been stopped.
SAVE_LOCK_TIMEOUT = 1.0

_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")
# What stands in a folder of ours, whose keys are digests.
_OUR_FILES = re.compile(r"[0-9a-f]{64}\.(json|lock|[0-9a-f]{16}\.tmp)|saving\.lock")

# Elsewhere there are no owners and no rights of this kind.
_POSIX = os.name == "posix"
_OTHERS = 0o077  # the rights of everybody but the owner
_FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "CLOEXEC", "BINARY", "NONBLOCK"))

# What file systems without working locks say, some kinds of NFS and FUSE among them.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_without_locks: set[Path] = set()
_process = MemoryStore()  # its locks stand in for those


class FileStore:
    """Tokens in a folder, shared by all processes that may read it: those of one user.

    Files are for their owner only (0600 in a folder with 0700) and are replaced in one step, so
    that nobody ever reads half a one. A folder or file that others may access loses those rights,
    with a warning; one that belongs to somebody else is not used. Renewals exclude each other as
    far as the file system has locks (flock); without, as far as the process reaches.

    Args:
        path: the folder, made at first use; else "mediahound-auth" in the user's cache folder.
        encryption_key: seals the files with Fernet; of several keys, the first one does, and each
            is tried on what is read. What none of them opens is as good as absent.

    Raises:
        ConfigurationError: `path` is no path, or a key is malformed.
        ModuleNotFoundError: there is a key, but no cryptography.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        encryption_key: EncryptionKey | None = None,
    ) -> None:
        self.path: Path = _absolute(path)
        self._records = Records(encryption_key)

    def load(self, key: str) -> Token | None:
        """The token saved under `key`, or None.

        Raises:
            ValueError: what is there is damaged, or of another version.
            OSError: it cannot be read.
        """
        file = self._file(key, "json")
        if not self._ready():
            return None
        try:
            with _open_checked(file, os.O_RDONLY) as fd, open(fd, "rb", closefd=False) as content:
                record = content.read(MAX_RECORD_SIZE + 1)
        except FileNotFoundError:
            return None
        if len(record) > MAX_RECORD_SIZE:
            raise ValueError("the stored record is too long to be one")
        return self._records.unpack(record)

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless what is there was requested later and is still live.

        Raises:
            OSError: it cannot be written.
        """
        file, record = self._file(key, "json"), self._records.pack(token)
        self._ready(create=True)
        with ExitStack() as saving:
            with suppress(TimeoutError):
                saving.enter_context(self._exclusively("saving.lock", SAVE_LOCK_TIMEOUT))
            known = None
            with suppress(ValueError):
                known = self.load(key)
            if (
                known is None
                or known.requested_at <= token.requested_at
                or known.expires_at <= runtime.now()
            ):
                self._replace(file, record)

    def discard(self, key: str) -> None:
        """Forget what is saved under `key`, if anything is.

        Raises:
            OSError: it cannot be removed.
        """
        file = self._file(key, "json")
        if self._ready():
            file.unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Mutual exclusion for renewing `key`; the end of a process, however sudden, frees it.

        Raises:
            TimeoutError: somebody else held it for `timeout` seconds.
            OSError: the folder cannot be used.
        """
        name = self._file(key, "lock").name
        self._ready(create=True)
        with self._exclusively(name, timeout):
            yield

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileStore) and (self.path, self._records) == (
            other.path,
            other._records,
        )

    def __hash__(self) -> int:
        return hash((self.path, self._records))

    def __repr__(self) -> str:
        key = ", encryption_key=..." if self._records.encrypted else ""
        return f"FileStore({os.fspath(self.path)!r}{key})"

    def _file(self, key: str, kind: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("a key is made of letters, digits, '-' and '_'")
        return self.path / f"{key}.{kind}"

    def _ready(self, *, create: bool = False) -> bool:
        """Whether the folder is there; if it is, it is ours alone."""
        if create:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        if not _POSIX:
            return self.path.is_dir()
        try:
            with _open_checked(self.path, os.O_RDONLY | os.O_DIRECTORY):
                return True
        except FileNotFoundError:
            return False

    def _replace(self, file: Path, record: bytes) -> None:
        self._remove_stale_files()
        temporary = file.with_suffix(f".{secrets.token_hex(8)}.tmp")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            with open(fd, "wb") as content:
                content.write(record)
            os.replace(temporary, file)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _remove_stale_files(self) -> None:
        """Remove what writers that were killed have left behind."""
        long_ago = runtime.now() - STALE
        for temporary in self.path.glob("*.tmp"):
            with suppress(OSError):
                if _OUR_FILES.fullmatch(temporary.name) and temporary.lstat().st_mtime < long_ago:
                    temporary.unlink()

    @contextmanager
    def _exclusively(self, name: str, timeout: float) -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(_file_lock(self.path / name, timeout))
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                self._say_that_there_are_no_locks(error)
                held.enter_context(_process.lock(f"{self.path}/{name}", timeout))
            yield

    def _say_that_there_are_no_locks(self, error: OSError) -> None:
        if self.path not in _without_locks:
            _without_locks.add(self.path)
            events.store_locking_unavailable(self.path, error)


def _absolute(path: object) -> Path:
    if path is None:
        return platformdirs.user_cache_path("mediahound-auth", appauthor=False)
    given = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(given, str) or not given or "\0" in given:
        raise ConfigurationError(f"path must be the path of a folder, not {path!r}")
    return Path(os.path.abspath(given))


def _file_lock(path: Path, timeout: float) -> AbstractContextManager[object]:
    """The lock, acquired; releases it at its exit."""
    lock = filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        return lock.acquire(timeout=max(0.0, timeout))
    except filelock.Timeout:
        pass
    raise TimeoutError("somebody else still holds the lock of this token")


@contextmanager
def _open_checked(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of `path`, which belongs to us and nobody else can access.

    Raises:
        PermissionError: it is not ours, or a symbolic link, or its rights cannot be taken away.
    """
    try:
        fd = os.open(path, flags | _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            raise _refused(path, "it is a symbolic link; name what it points to") from error
        raise
    try:
        if _POSIX:
            _restrict_permissions(fd, path)
        yield fd
    finally:
        os.close(fd)


def _restrict_permissions(fd: int, path: Path) -> None:
    info = os.fstat(fd)
    if info.st_uid != os.geteuid():
        raise _refused(path, f"it belongs to another user (uid {info.st_uid})")
    if not info.st_mode & _OTHERS:
        return
    if stat.S_ISDIR(info.st_mode) and not all(
        _OUR_FILES.fullmatch(name) for name in os.listdir(fd)
    ):
        # Somebody's home, say, or /tmp: taking rights away there would do harm.
        raise _refused(path, "others may access it and it holds other things; name a new folder")
    os.fchmod(fd, info.st_mode & 0o700)
    if os.fstat(fd).st_mode & _OTHERS:
        raise _refused(path, "its file system lets others access it")
    events.store_permissions_fixed(path, info.st_mode & 0o777)


def _refused(path: Path, why: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"no place for tokens: {why}", os.fspath(path))
