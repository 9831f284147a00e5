"""Renewal: one renewal of a token, what its thread does, and how callers wait for it.

A renewal runs in a thread of its own. So no caller who waits for it can end it for the others, by
Ctrl-C or by being cancelled; no caller waits beyond its time limit, however slowly the endpoint
responds; and no event loop is blocked.

**Who decides the outcome.** The first to call `_decide`: the renewal's thread, with a token or a
failure, or a caller who has waited until the time limit, with a failure. It needs no lock, because
a signal handler may wait for this renewal in the very thread that holds `state_lock`. Whoever holds
that lock next records the outcome in the `SharedTokenState` before reading anything. A token that
comes after a failure was decided is used all the same.

Callers wake once the outcome is decided and, if it is a failure, logged: so the log record comes
before the exceptions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar, cast

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from mediahound_auth._core.endpoint import (
    Sender,
    after_attempts,
    request_token,
    timeout_error,
    unexpected_error,
)
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.lifecycle import STORE_POLL_INTERVAL, retry_delay, store_lock_timeout
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.shared_state import SharedTokenState
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import (
    InvalidClientError,
    MediaHoundAuthError,
    TokenRequestError,
    copy_error,
)
from mediahound_auth.token import Token

__all__ = ["Outcome", "Renewal", "Steps", "run_steps", "run_steps_async"]

T = TypeVar("T")

Outcome = Token | MediaHoundAuthError

# What a caller does, up to each point where it waits for a renewal, and for how many seconds at
# most: written once for threads and tasks.
Steps = Generator[tuple["Renewal", float], None, T]


class Renewal:
    """One renewal in progress.

    Attributes:
        settings: those of the auth object whose caller started it.
        rejected: the access token that an API has rejected, if that is why it was started.
        skip_store: the endpoint is to be asked, whatever a store may hold.
        waited_for: callers need its outcome. Guarded by `state_lock`.
        started, deadline: when it was started, and when its time is up, by `runtime.monotonic`.
            Callers with a longer `timeout` move the deadline on, with `state_lock` held.
        attempts: how many token requests were sent; none if the token came from the store.
        last_error: why the last one failed.
        outcome, decided_at: the token or failure, once that is decided, and when that was.
        recorded: the `SharedTokenState` has the outcome. Guarded by `state_lock`.
        rejected_secret: the key of the grant whose secret was rejected, if a callable provides it.
        same_secret: the callable has returned that secret again, and no request was sent.
    """

    def __init__(
        self,
        settings: Settings,
        shared: SharedTokenState,
        send: Sender,
        rejected: str | None,
        skip_store: bool,
    ) -> None:
        self.rejected = rejected
        self.skip_store = skip_store
        self.waited_for = False
        self.started: float = runtime.monotonic()
        self.deadline: float = self.started + settings.timeout
        self.attempts = 0
        self.last_error: TokenRequestError | None = None
        self.outcome: Outcome | None = None
        self.decided_at = 0.0
        self.recorded = False
        self.rejected_secret = ""
        self.same_secret = False
        self.settings = settings
        self._shared = shared
        self._send = send
        self._pid = runtime.process_id()
        self._done = runtime.Event()
        patience = min(runtime.THREAD_START_TIMEOUT, settings.timeout / 2)
        self._thread = runtime.DaemonThread(self._run, "mediahound-auth renewal", patience)

    @property
    def remaining(self) -> float:
        """Seconds that are left, 0.0 if none are."""
        return max(0.0, self.deadline - runtime.monotonic())

    @property
    def joinable(self) -> bool:
        """Whether waiting for it makes sense: after fork() its thread has stayed in the parent."""
        in_progress = self.outcome is not None or runtime.monotonic() < self.deadline
        return in_progress and not self.recorded and self._pid == runtime.process_id()

    def start(self) -> None:
        """Start its thread, unless that has been done."""
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Block this thread until the outcome is decided, for `timeout` seconds at most."""
        self._thread.start()
        until = min(runtime.monotonic() + timeout, self.deadline)
        done = self._done.wait(min(until, self._thread.begins_by))
        if not done and runtime.monotonic() < until:
            if self._thread.take_over():
                self._run()
            self._done.wait(until)
        _ = self._shared.state  # record the outcome: the caller's next call goes by it

    async def wait_async(self, timeout: float) -> None:
        """The same for a task, on asyncio or trio."""
        self._thread.start()
        await self._done.wait_async(min(runtime.monotonic() + timeout, self.deadline))
        _ = self._shared.state  # as above

    def fail(self, error: MediaHoundAuthError) -> None:
        """Make `error` the outcome, unless there is one."""
        # Without its traceback: the frames hold the secret, and some tools print what frames hold.
        error = copy_error(error)
        if self._decide(error):
            try:
                if not self.same_secret:
                    current = self._shared.recorded.token
                    events.renewal_failed(self.settings.grant, self, error, current)
            finally:
                self._done.wake()

    def _decide(self, outcome: Outcome) -> bool:
        if not self._done.is_first():
            return False
        self.decided_at = runtime.now()
        self.outcome = outcome
        return True

    # What follows runs in the renewal's thread.

    def _run(self) -> None:
        try:
            self._renew()
        except MediaHoundAuthError as error:
            self.fail(error)
        except BaseException as error:
            # Whatever else breaks, callers must not wait for nothing.
            self.fail(unexpected_error(self.settings.grant, error))
            if not isinstance(error, Exception):
                raise error.with_traceback(None) from None  # frames can hold the secret
        finally:
            self._shared.end(self)

    def _renew(self) -> None:
        grant = self.settings.grant.resolved()
        rotates = callable(self.settings.grant.client_secret)
        if rotates and not self.remaining:
            # A callable that was too slow for its callers serves the next one.
            self.deadline = runtime.monotonic() + self.settings.timeout
        state = self._shared.recorded
        if rotates and state.secret_is_rejected(grant.key(), runtime.now()):
            assert state.failure is not None
            self.same_secret = True
            self.fail(state.failure)
            return
        health, timeout = self._shared.store_health, self.settings.timeout
        with StoreSession(self.settings.store_or_default, grant.key(), health, timeout) as store:
            token = self._better_token_or_lock(store)
            if token is None:
                try:
                    token = self._request(grant)
                except InvalidClientError:
                    self.rejected_secret = grant.key() if rotates else ""
                    raise
                self._save(store, token)
            if self._decide(token):
                self._done.wake()
            else:
                self._shared.record_late(self, token)
            events.renewed(grant, self, token)
            if state.unconfirmed == 1 and self.rejected is not None:
                events.new_tokens_rejected(grant)

    def _better_token_or_lock(self, store: StoreSession) -> Token | None:
        """A token of the store that makes a token request unnecessary, or else the store's lock.

        The store is looked into while the lock is waited for as well, so that those who wait need
        not pass it on one by one when the token has come.
        """
        until = runtime.monotonic() + store_lock_timeout(self.remaining, runtime.jitter())
        locked = False
        while True:
            token, now = None if self.skip_store else store.load(), runtime.now()
            if token and self._shared.recorded.is_improved_by(token, self.rejected, now):
                return token
            left = until - runtime.monotonic()
            if locked or left <= 0:
                return None
            locked = store.lock(min(left, STORE_POLL_INTERVAL))

    def _request(self, grant: Grant) -> Token:
        """A token from the endpoint, requested again after a transient failure (lifecycle.py)."""
        while True:
            if self.attempts and grant.client_auth == "client_assertion":
                grant = self.settings.grant.resolved()  # each is used once (RFC 7523 §3)
            remaining, sent_at = self.remaining, runtime.monotonic()
            if not remaining:  # the thread began late, or a store has used it up
                raise timeout_error(grant, self.deadline - self.started, self.last_error)
            state = self._shared.recorded
            self.attempts += 1
            result: Token | TokenRequestError
            try:
                known = (state.token, self._shared.forgotten)
                token = request_token(grant, self._send, remaining, known)
                result = state.with_returned_again(token)
            except TokenRequestError as error:
                result = self.last_error = error
            duration = runtime.monotonic() - sent_at
            events.token_requested(grant, self.attempts, result, duration)
            if isinstance(result, Token):
                return result
            delay = retry_delay(result, self.attempts, self.remaining, runtime.jitter())
            if delay is None:
                raise after_attempts(result, self.attempts, runtime.monotonic() - self.started)
            runtime.sleep(delay)

    def _save(self, store: StoreSession, token: Token) -> None:
        # Not so after forget(), or if a later renewal has taken over; nor if that comes meanwhile.
        if self._shared.renewal is self:
            store.save(token, replaces=self.rejected)
            if self._shared.renewal is not self:
                store.discard()


def run_steps(steps: Steps[T]) -> T:
    """Follow `steps` in this thread."""
    try:
        while True:
            renewal, timeout = next(steps)
            renewal.wait(timeout)
    except StopIteration as end:
        return cast(T, end.value)


async def run_steps_async(steps: Steps[T]) -> T:
    """Follow `steps` in this task."""
    try:
        while True:
            renewal, timeout = next(steps)
            await renewal.wait_async(timeout)
    except StopIteration as end:
        return cast(T, end.value)
