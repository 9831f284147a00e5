"""Renewal: one renewal of a token. What its thread does, and how callers wait for it.

A renewal runs in a separate thread. So Ctrl-C or the cancellation of one caller does not end the
renewal for other callers, no caller waits beyond its time limit, and no event loop is blocked.

**The outcome is decided once**, by the first call of `_decide`. The renewal's thread calls it with
a token or a failure. A caller whose time limit is over calls it with a failure. `_decide` needs no
lock, because a signal handler may wait for this renewal in the thread that holds `state_lock`. It
is a single step, which a signal handler cannot interrupt halfway. The next thread that holds
`state_lock` records the outcome in the `SharedTokenState` before it reads the state. A token that
arrives after a decided failure is used nevertheless.

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

# The steps of a caller. Each yielded item is a renewal to wait for, and for how many seconds at
# most. Threads and tasks follow the same steps.
Steps = Generator[tuple["Renewal", float], None, T]

# The renewals that wait for the code of this context. A `client_secret` callable, a store or a log
# handler may make calls of its own, and must not wait for the renewal that waits for it. The
# references are weak, because a thread or task that was started in this context keeps the context.
within: ContextVar[tuple[weakref.ref[Renewal], ...]] = ContextVar("within", default=())


class Decision(NamedTuple):
    """The outcome of a renewal.

    Attributes:
        outcome: The token or the failure.
        at: When it was decided, by `runtime.now`.
        timeout: The time limit within which it failed, in seconds. A longer one might have helped.
        lost: Whether the failure says nothing about the endpoint, because the process was suspended
            or the caller that did the work was interrupted. Such a failure is not remembered, and
            callers with time left start another renewal.
    """

    outcome: Outcome
    at: float
    timeout: float
    lost: bool


class Renewal:
    """One renewal in progress.

    Attributes:
        settings, transport: Those of the auth object whose caller started the renewal.
        rejected: The access token that an API rejected, if that started the renewal.
        skip_store: Whether to request a token even if the store has one.
        skip_lock: Whether to renew without the store's lock, which a stuck renewal may hold.
        waited_for: Whether callers need the outcome. Guarded by `state_lock`.
        started, deadline: When it started, and when its time is over, by `runtime.monotonic`.
        timeout: The seconds in between. Callers with a longer `timeout` extend it.
        attempts: The number of token requests sent. 0 if the token came from the store.
        last_error: Why the last token request failed.
        received: The token in the endpoint's response, before it is saved in the store.
        era: The era of the `SharedTokenState` at the start.
        decision: The outcome, once it is decided.
        recorded: Whether the `SharedTokenState` has the outcome. Guarded by `state_lock`.
        rejected_secret: The key of the grant whose secret was rejected, if a callable provides the
            secret.
        same_secret: Whether the callable returned that secret again, so that no request was sent.
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
        self._at_work = False
        # Those of the caller that does the work.
        self._signal_handlers: runtime.SignalHandlers | None = None
        self._pid = runtime.process_id()
        self._done = runtime.Event()
        start_timeout = thread_start_timeout(settings.timeout)
        self._thread = runtime.DaemonThread(self._run, "mediahound-auth renewal", start_timeout)

    @property
    def remaining(self) -> float:
        """The seconds left, at least 0.0."""
        return max(0.0, self.deadline - runtime.monotonic())

    @property
    def outcome(self) -> Outcome | None:
        """The token or the failure, once it is decided."""
        return self.decision.outcome if self.decision else None

    @property
    def at_work(self) -> bool:
        """Whether its thread runs in this process and has not ended."""
        return self._at_work and self._pid == runtime.process_id()

    @property
    def has_thread(self) -> bool:
        """Whether a thread or a caller does its work. False if no thread could be started."""
        return self._thread.runs

    @property
    def waits_for_caller(self) -> bool:
        """Whether this renewal, or an earlier one, waits for the code that runs now."""
        renewals = [reference() for reference in within.get()]
        return any(one and one.at_work and one._shared is self._shared for one in renewals)

    @property
    def waits_to_log(self) -> bool:
        """Whether the renewal may have to wait for a log handler that the current thread is in."""
        return self.at_work and runtime.in_log_handler()

    @property
    def joinable(self) -> bool:
        """Whether a caller can wait for this renewal.

        Not after fork(), because its thread runs in the parent only. Not after the process was
        suspended: the connection is gone, and `monotonic` may have stood still.
        """
        in_time = runtime.monotonic() < self.deadline and not self.outlasts(0.0)
        in_progress = self.outcome is not None or in_time
        return in_progress and not self.recorded and self._pid == runtime.process_id()

    def extend(self, timeout: float) -> None:
        """Extend the time limit for a caller with this `timeout`. `state_lock` is held."""
        if timeout > self.timeout:
            self.deadline = max(self.deadline, self.started + timeout)
            self.timeout = timeout  # last: what has failed within this time had all of it

    def start(self) -> None:
        """Start its thread, unless it is started."""
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Block this thread until the outcome is decided, for `timeout` seconds at most."""
        now = runtime.monotonic()
        until = min(now + timeout, self.deadline)
        # The thread could not log while this one is in a log handler.
        starts = not runtime.in_log_handler() and self._thread.start()
        begins_by = self._thread.begins_by if starts else now
        if not self._done.wait(min(until, begins_by)) and runtime.monotonic() < until:
            if self._thread.take_over():
                self._signal_handlers = runtime.SignalHandlers()
                self._run()
            self._done.wait(until)
        _ = self._shared.state  # record the outcome: the caller's next call goes by it

    async def wait_async(self, timeout: float) -> None:
        """Do what `wait` does, for a task. Return soon if no thread can be started.

        A task cannot do the work itself. So return at once if the thread could not log.
        """
        if runtime.in_log_handler(of_routine=True):
            return
        until = min(runtime.monotonic() + timeout, self.deadline)
        begins_by, done = self._thread.begins_by, False
        while not done:
            starts, now = self._thread.start(), runtime.monotonic()
            if not starts and now >= min(until, begins_by):
                return
            # A started thread may not begin: a signal handler has raised in the caller's start().
            pause = begins_by - now if now < begins_by else until - now
            pause = pause if starts else START_RETRY_INTERVAL
            done = await self._done.wait_async(min(until, now + pause))
            done = done or runtime.monotonic() >= until
        _ = self._shared.state  # as above

    def expire(self, error: MediaHoundAuthError) -> None:
        """Make `error` the outcome if the renewal has no time left.

        If the endpoint has returned a token that is not saved yet, the token is the outcome.
        """
        if self.received:
            self._decide(self.received, self.timeout)
        elif not self.remaining:  # otherwise a caller with more time has joined
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
            lost = lost or self.outlasts(SUSPENDED_AFTER)
        decision = Decision(outcome, runtime.now(), timeout, lost)
        try:
            # The first one stays; in one step, since the renewal's thread and callers come here.
            return cast(Decision, vars(self).setdefault("decision", decision))
        finally:
            if isinstance(outcome, Token):
                self._done.wake()

    def outlasts(self, seconds: float) -> bool:
        """Whether it has exceeded its time limit by this many seconds of Unix time."""
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
            # Whatever breaks, callers must not wait in vain.
            interruption, failure = self._interruption(error), error
            if not isinstance(failure, MediaHoundAuthError):
                failure = unexpected_error(self.settings.grant, error)
            lost = interruption is not None and self._signal_handlers is not None
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
        return self._signal_handlers.raised(error) if self._signal_handlers else None

    def _renew(self) -> None:
        grant = self.settings.grant.resolved()
        rotates = callable(self.settings.grant.client_secret)
        if rotates and not self.remaining:
            # The callable was too slow for these callers. The token is for the next ones.
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
        """Return a token of the store that makes a token request unnecessary, or take the lock.

        The store is read while the lock is waited for, too. So all waiting processes find the token
        at once, and need not take the lock one after the other.
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
        """Request a token, and retry after transient failures (lifecycle.py)."""
        while True:
            if self.attempts and grant.client_auth == "client_assertion":
                grant = self.settings.grant.resolved()  # an assertion is used once (RFC 7523 §3)
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
        """The token of the renewal that replaced this one, if it was faster."""
        replaced = self._shared.renewal is not self and not self.skip_store
        if replaced and state.usable(runtime.now()) and state.token:
            return None if state.token.access_token == self.rejected else state.token
        return None

    def _save(self, store: StoreSession, token: Token) -> None:
        # Not after forget() and not if a later renewal has replaced this one, also meanwhile.
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
