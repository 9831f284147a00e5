"""FileStore: tokens in files, shared by all processes of a user on a machine."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from mediahound_auth._core.masked import masked
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
from mediahound_auth.stores.records import MAX_RECORD_SIZE, EncryptionKey, Records
from mediahound_auth.token import Token

__all__ = ["FileStore"]

# Seconds. An older temporary file belongs to a process that was killed.
STALE = 60.0

# Seconds. Reading and replacing a file takes milliseconds, unless the process has been stopped.
SAVE_LOCK_TIMEOUT = 1.0

_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")
# Names of the files in a folder of ours, whose keys are digests.
_OUR_FILES = re.compile(r"[0-9a-f]{64}\.(json|lock|[0-9a-f]{16}\.tmp)|saving\.lock")

# Other systems have no owners and permissions of this kind.
_POSIX = os.name == "posix"
_OTHERS = 0o077  # all permissions but the owner's
_FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "CLOEXEC", "BINARY", "NONBLOCK"))

# The errors of file systems without working locks, some kinds of NFS and FUSE among them.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_without_locks: set[Path] = set()
_process = MemoryStore()  # its locks are used instead


class FileStore:
    """Tokens in a folder, shared by all processes of one user on a machine.

    Only the owner can access the files (0600) and the folders that are created for them (0700).
    Files are replaced atomically. Permissions of other users on the folder or a file are removed,
    with a warning. A folder or file of another user is not used.

    A symbolic link on the way to the folder is followed if it belongs to root or to the user of
    this process: another user could redirect any other. The folder and its files may not be
    symbolic links.

    Renewals exclude each other with file locks (flock), or within the process if the file system
    has none.

    Args:
        path: The folder, created at the first use. Defaults to "mediahound-auth" in the user's
            cache folder.
        encryption_key: Encrypts the files with Fernet. The first of several keys encrypts, and all
            of them can decrypt. A file that no key decrypts counts as absent.

    Raises:
        ConfigurationError: `path` is not a path, there is no cache folder, or a key is malformed.
        ModuleNotFoundError: There is a key, but cryptography is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        encryption_key: EncryptionKey | None = None,
    ) -> None:
        encryption_key = masked(encryption_key)  # tools print variables
        self.path: Path = _default_path() if path is None else _absolute(path)
        self._records = Records(encryption_key)

    def load(self, key: str) -> Token | None:
        """Return the token saved under `key`, or None.

        Raises:
            ValueError: The file is damaged, or has the format of another version.
            OSError: The file cannot be read.
        """
        file = self._file(key, "json")
        if not self._ready():
            return None
        try:
            with _open_checked(file, os.O_RDONLY) as fd, open(fd, "rb", closefd=False) as content:
                # Not in a variable, which a traceback could show.
                return self._records.unpack(key, content.read(MAX_RECORD_SIZE + 1))
        except FileNotFoundError:
            return None

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless a valid token that was requested later is there.

        Raises:
            OSError: The file cannot be written.
        """
        self._file(key, "json")
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
                self._replace(key, token)

    def discard(self, key: str) -> None:
        """Delete the token saved under `key`, if there is one.

        Raises:
            OSError: The file cannot be removed.
        """
        file = self._file(key, "json")
        if self._ready():
            file.unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Hold the lock of `key`. The operating system releases it if the process ends.

        Raises:
            TimeoutError: Another process or thread held it for `timeout` seconds.
            OSError: The folder cannot be used.
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
        try:
            key = ", encryption_key=..." if self._records.encrypted else ""
            return f"FileStore({os.fspath(self.path)!r}{key})"
        except AttributeError:  # the constructor raised, and a traceback shows the object
            return object.__repr__(self)

    def _file(self, key: str, kind: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("a key may contain only letters, digits, '-' and '_'")
        return self.path / f"{key}.{kind}"

    def _ready(self, *, create: bool = False) -> bool:
        """Check the folder and its permissions; return whether it exists."""
        if _POSIX:
            _check_links(self.path)
        if create:
            _create(self.path)
        if not _POSIX:
            return self.path.is_dir()
        try:
            with _open_checked(self.path, os.O_RDONLY | os.O_DIRECTORY):
                return True
        except FileNotFoundError:
            return False

    def _replace(self, key: str, token: Token) -> None:
        self._remove_stale_files()
        file = self._file(key, "json")
        temporary = file.with_suffix(f".{secrets.token_hex(8)}.tmp")
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            with open(fd, "wb") as content:
                content.write(self._records.pack(key, token))
            os.replace(temporary, file)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _remove_stale_files(self) -> None:
        """Remove the temporary files of writers that were killed."""
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
                self._warn_of_missing_locks(error)
                held.enter_context(_process.lock(f"{self.path}/{name}", timeout))
            yield

    def _warn_of_missing_locks(self, error: OSError) -> None:
        if self.path not in _without_locks:
            _without_locks.add(self.path)
            events.store_locking_unavailable(self.path, error)


def _default_path() -> Path:
    with suppress(RuntimeError):  # of some versions of platformdirs; others return "~/.cache"
        path = platformdirs.user_cache_path("mediahound-auth", appauthor=False)
        if path.is_absolute():
            return path
    raise ConfigurationError(
        "FileStore found no cache folder, because this user has no home folder; pass path= or set "
        "HOME"
    )


def _absolute(path: object) -> Path:
    given = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(given, str) or not given or "\0" in given:
        raise ConfigurationError(f"path must be the path of a folder, not {path!r}")
    return Path(os.path.abspath(given))


def _create(folder: Path) -> None:
    """Create `folder` and its missing parents, with permissions for the owner only."""
    # os.makedirs would create the parents with all the permissions that the umask allows.
    missing = [step for step in (folder, *folder.parents) if not os.path.lexists(step)]
    for step in reversed(missing):
        with suppress(FileExistsError):
            step.mkdir(mode=0o700)


def _check_links(path: Path) -> None:
    """Check that each symbolic link on the way to `path` belongs to root or to our user.

    Raises:
        PermissionError: One belongs to another user.
    """
    for step in reversed(path.parents):
        try:
            info = step.lstat()
            if not stat.S_ISLNK(info.st_mode):
                continue
        except FileNotFoundError:
            return
        if info.st_uid not in (0, os.geteuid()):
            raise _refused(step, f"the symbolic link belongs to another user (uid {info.st_uid})")
        step.stat()  # raises if links point to each other in a circle
        _check_links(step.parent / os.readlink(step) / "_")


def _file_lock(path: Path, timeout: float) -> AbstractContextManager[object]:
    """Acquire the lock; leaving the context releases it."""
    lock = filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        return lock.acquire(timeout=max(0.0, timeout))
    except filelock.Timeout:
        pass
    raise TimeoutError("another process or thread still holds the lock of this token")


@contextmanager
def _open_checked(path: Path, flags: int) -> Iterator[int]:
    """Open `path`, which must belong to our user, and remove the permissions of other users.

    Raises:
        PermissionError: It belongs to another user, is a symbolic link, or its permissions cannot
            be restricted.
    """
    try:
        fd = os.open(path, flags | _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            raise _refused(path, "it is a symbolic link; pass the path of its target") from error
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
        # Perhaps a home folder or /tmp, whose permissions must stay.
        raise _refused(
            path,
            "the folder is accessible to other users and contains unrelated files; pass a folder "
            "of its own",
        )
    os.fchmod(fd, info.st_mode & 0o700)
    if os.fstat(fd).st_mode & _OTHERS:
        raise _refused(path, "its file system makes it accessible to other users")
    events.store_permissions_fixed(path, info.st_mode & 0o777)


def _refused(path: Path, why: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"refusing to store tokens here: {why}", os.fspath(path))
