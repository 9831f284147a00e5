"""Renewal: one renewal of a token, what its thread does, and how callers wait for it.

A renewal runs in a thread of its own. So no caller who waits for it can end it for the others, by
Ctrl-C or by being cancelled; no caller waits beyond its time limit, however slowly the endpoint
responds; and no event loop is blocked.

**Who decides the outcome.** The first to call `_decide`: the renewal's thread, with a token or a
failure, or a caller who has waited until the time limit, with a failure. It needs no lock, because
a signal handler may wait for this renewal in the very thread that holds `state_lock`. It is one
step, so that such a handler cannot interrupt it halfway. Whoever holds
that lock next records the outcome in the `SharedTokenState` before reading anything. A token that
comes after a failure was decided is used all the same.

Callers wake once the outcome is decided. A failure is logged before, so that the log record comes
before the exceptions.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator
from contextvars import ContextVar
from typing import NamedTuple, TypeVar, cast

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
from mediahound_auth._core.lifecycle import (
    START_RETRY_INTERVAL,
    STORE_POLL_INTERVAL,
    SUSPENDED_AFTER,
    State,
    retry_delay,
    store_lock_timeout,
    thread_start_timeout,
)
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.shared_state import SharedTokenState
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import (
    InvalidClientError,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
    copy_error,
)
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["Outcome", "Renewal", "Steps", "run_steps", "run_steps_async", "within"]

T = TypeVar("T")

Outcome = Token | MediaHoundAuthError

# What a caller does, up to each point where it waits for a renewal, and for how many seconds at
# most: written once for threads and tasks.
Steps = Generator[tuple["Renewal", float], None, T]

# The renewals that this context is on the way of: a `client_secret` callable, a store or a log
# handler may make calls of its own, and must not wait for the renewal that waits for it. Weak,
# since a context may last, in a thread or task that was started there.
within: ContextVar[tuple[weakref.ref[Renewal], ...]] = ContextVar("within", default=())


class Decision(NamedTuple):
    """What a renewal came to.

    Attributes:
        outcome, at: the token or failure, and when that was decided, by `runtime.now`.
        timeout: the seconds that a failure had: a longer time limit might have helped.
        lost: it failed for a reason that says nothing of the endpoint. The process was suspended,
            or the caller who did the work was interrupted. The failure is not remembered, and
            callers who have time left start another renewal.
    """

    outcome: Outcome
    at: float
    timeout: float
    lost: bool


class Renewal:
    """One renewal in progress.

    Attributes:
        settings, transport: those of the auth object whose caller started it.
        rejected: the access token that an API has rejected, if that is why it was started.
        skip_store: the endpoint is to be asked, whatever a store may hold.
        skip_lock: the store's lock is not waited for: an earlier renewal may hold it and be stuck.
        waited_for: callers need its outcome. Guarded by `state_lock`.
        started, deadline: when it was started, and when its time is up, by `runtime.monotonic`.
        timeout: the seconds in between. Callers with a longer one extend it.
        attempts: how many token requests were sent; none if the token came from the store.
        last_error: why the last one failed.
        received: the token that the endpoint has returned, before the store has it.
        era: that of the `SharedTokenState` when it was started.
        decision: what it came to, once that is decided.
        recorded: the `SharedTokenState` has that. Guarded by `state_lock`.
        rejected_secret: the key of the grant whose secret was rejected, if a callable provides it.
        same_secret: the callable has returned that secret again, and no request was sent.
    """

    decision: Decision | None = None

    def __init__(
        self,
        settings: Settings,
        shared: SharedTokenState,
        send: Sender,
        transport: object,
        rejected: str | None,
        skip_store: bool,
    ) -> None:
        self.rejected = rejected
        self.skip_store = skip_store
        self.skip_lock = False
        self.waited_for = False
        self.started: float = runtime.monotonic()
        self.timeout: float = settings.timeout
        self.deadline: float = self.started + settings.timeout
        self.attempts = 0
        self.last_error: TokenRequestError | None = None
        self.received: Token | None = None
        self.recorded = False
        self.rejected_secret = ""
        self.same_secret = False
        self._started_at: float = runtime.now()
        self.era = shared.era
        self.settings = settings
        self.transport = transport
        self._send = send
        self._tried_for: float = settings.timeout  # that of what has been tried
        self._shared = shared
        self._at_work = self._in_caller = False
        self._pid = runtime.process_id()
        self._done = runtime.Event()
        start_timeout = thread_start_timeout(settings.timeout)
        self._thread = runtime.DaemonThread(self._run, "mediahound-auth renewal", start_timeout)

    @property
    def remaining(self) -> float:
        """Seconds that are left, 0.0 if none are."""
        return max(0.0, self.deadline - runtime.monotonic())

    @property
    def outcome(self) -> Outcome | None:
        """The token or failure, once that is decided."""
        return self.decision.outcome if self.decision else None

    @property
    def at_work(self) -> bool:
        """Whether its thread is: in this process, and not at its end yet."""
        return self._at_work and self._pid == runtime.process_id()

    @property
    def has_thread(self) -> bool:
        """Whether a thread or a caller does its work: False if no thread could be started."""
        return self._thread.runs

    @property
    def waits_for_caller(self) -> bool:
        """Whether it, or one before it, waits itself for what the caller does in this context."""
        renewals = [reference() for reference in within.get()]
        return any(one and one.at_work and one._shared is self._shared for one in renewals)

    @property
    def joinable(self) -> bool:
        """Whether waiting for it makes sense.

        It does not after fork(), since its thread has stayed in the parent; nor after the process
        was suspended, since its connection is dead, and `monotonic` may have stood still.
        """
        in_time = runtime.monotonic() < self.deadline and not self._outlasts(0.0)
        in_progress = self.outcome is not None or in_time
        return in_progress and not self.recorded and self._pid == runtime.process_id()

    def extend(self, timeout: float) -> None:
        """A caller has joined who waits for so many seconds. With `state_lock` held."""
        if timeout > self.timeout:
            self.deadline = max(self.deadline, self.started + timeout)
            self.timeout = timeout  # last: what has failed within this time had all of it

    def start(self) -> None:
        """Start its thread, unless that has been done."""
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Block this thread until the outcome is decided, for `timeout` seconds at most."""
        now = runtime.monotonic()
        until = min(now + timeout, self.deadline)
        # The thread could not log while this one is in a log handler.
        starts = not runtime.in_handler_of(events.log) and self._thread.start()
        begins_by = self._thread.begins_by if starts else now
        if not self._done.wait(min(until, begins_by)) and runtime.monotonic() < until:
            if self._thread.take_over():
                self._in_caller = True
                self._run()
            self._done.wait(until)
        _ = self._shared.state  # record the outcome: the caller's next call goes by it

    async def wait_async(self, timeout: float) -> None:
        """The same for a task, on asyncio or trio; soon over if no thread can be started."""
        until = min(runtime.monotonic() + timeout, self.deadline)
        while not self._thread.start():
            now = runtime.monotonic()
            if now >= min(until, self._thread.begins_by):
                return
            await self._done.wait_async(now + START_RETRY_INTERVAL)
        await self._done.wait_async(until)
        _ = self._shared.state  # as above

    def expire(self, error: MediaHoundAuthError) -> None:
        """A caller's time is up: make `error` the outcome if that of the renewal is up, too.

        A token that the store has not got yet is the outcome then.
        """
        if self.received:
            self._decide(self.received, self.timeout)
        elif not self.remaining:  # else a caller has joined who has more time
            self._fail(error, self.timeout)

    def _fail(self, error: MediaHoundAuthError, timeout: float, *, lost: bool = False) -> None:
        # Without its traceback: the frames hold the secret, and some tools print what frames hold.
        error = copy_error(error)
        try:
            decision = self._decide(error, timeout, lost)
            if decision.outcome is error and not (self.same_secret or decision.lost):
                current = self._shared.recorded.token
                events.renewal_failed(self.settings.grant, self, error, current)
        finally:
            if self.outcome is error:
                self._done.wake()

    def _decide(self, outcome: Outcome, timeout: float, lost: bool = False) -> Decision:
        if isinstance(outcome, TokenEndpointUnavailable):
            lost = lost or self._outlasts(SUSPENDED_AFTER)
        decision = Decision(outcome, runtime.now(), timeout, lost)
        try:
            # The first one stays; in one step, since the renewal's thread and callers come here.
            return cast(Decision, vars(self).setdefault("decision", decision))
        finally:
            if isinstance(outcome, Token):
                self._done.wake()

    def _outlasts(self, seconds: float) -> bool:
        """Whether it has taken so many seconds more than its time limit, by Unix time."""
        return runtime.now() - self._started_at > self.deadline - self.started + seconds

    # What follows runs in the renewal's thread.

    def _run(self) -> None:
        others = [other for other in within.get() if (one := other()) and one.at_work]
        token = within.set((*others, weakref.ref(self)))
        self._at_work = True
        interruption = None
        try:
            self._renew()
        except BaseException as error:
            # Whatever breaks, callers must not wait for nothing.
            interruption, failure = self._interruption(error), error
            if not isinstance(failure, MediaHoundAuthError):
                failure = unexpected_error(self.settings.grant, error)
            lost = interruption is not None and self._in_caller
            self._fail(failure, self._tried_for, lost=lost)
        finally:
            self._at_work = False
            within.reset(token)
            self._shared.end(self)
        if interruption:
            interruption.__context__ = None  # frames can hold the secret
            raise interruption.with_traceback(None) from None

    def _interruption(self, error: BaseException) -> BaseException | None:
        """Ctrl-C or, where a caller does the work, what a signal handler of the caller's raised."""
        if not isinstance(error, Exception):
            return error
        return runtime.raised_by_signal_handler(error) if self._in_caller else None

    def _renew(self) -> None:
        grant = self.settings.grant.resolved()
        rotates = callable(self.settings.grant.client_secret)
        if rotates and not self.remaining:
            # A callable that was too slow for its callers serves the next one.
            self.deadline = runtime.monotonic() + self.settings.timeout
        state = self._shared.recorded
        if rotates and state.failure and state.secret_is_rejected(grant.key(), runtime.now()):
            self.same_secret = True
            self._fail(state.failure, self._tried_for)
            return
        try:
            if store := self.settings.effective_store:
                self._renew_in_store(store, grant)
            else:
                self._succeed(self._request(grant), grant)
        except InvalidClientError:
            self.rejected_secret = grant.key() if rotates else ""
            raise

    def _renew_in_store(self, store: Store, grant: Grant) -> None:
        health, timeout = self._shared.store_health, self.settings.timeout
        with StoreSession(store, grant.key(), health, timeout) as session:
            token = self._better_token_or_lock(session)
            if token is None:
                token = self._request(grant)
                self.received = token
                self._save(session, token)
            self._succeed(token, grant)

    def _succeed(self, token: Token, grant: Grant) -> None:
        decision = self._decide(token, self.timeout)
        if decision.outcome is not token or self._shared.renewal is not self:
            self._shared.record_late(self, token)
        events.renewed(grant, self, token)

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
            if locked or left <= 0 or self.skip_lock:
                return None
            locked = store.lock(min(left, STORE_POLL_INTERVAL))

    def _request(self, grant: Grant) -> Token:
        """A token from the endpoint, requested again after a transient failure (lifecycle.py)."""
        while True:
            if self.attempts and grant.client_auth == "client_assertion":
                grant = self.settings.grant.resolved()  # each is used once (RFC 7523 §3)
            self._tried_for = self.timeout
            remaining, state = self.remaining, self._shared.recorded
            if not remaining:  # the thread began late, or a store has used it up
                raise timeout_error(grant, self.timeout, self.attempts, self.last_error)
            if token := self._brought_by_another(state):
                return token
            self.attempts += 1
            result: Token | TokenRequestError
            sent_at = runtime.monotonic()
            try:
                known = (state.token, self._shared.forgotten)
                token = request_token(grant, self._send, remaining, known)
                result = state.with_returned_again(token)
            except TokenRequestError as error:
                if self._interruption(error):
                    raise
                result = self.last_error = error
            duration = runtime.monotonic() - sent_at
            events.token_requested(grant, self.attempts, result, duration)
            if isinstance(result, Token):
                return result
            self._tried_for = self.timeout
            delay = retry_delay(result, self.attempts, self.remaining, runtime.jitter())
            if delay is None:
                raise after_attempts(result, self.attempts, runtime.monotonic() - self.started)
            runtime.sleep(delay)

    def _brought_by_another(self, state: State) -> Token | None:
        """The token of the renewal that has taken over from this one, if that was faster."""
        replaced = self._shared.renewal is not self and not self.skip_store
        if replaced and state.usable(runtime.now()) and state.token:
            return None if state.token.access_token == self.rejected else state.token
        return None

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
