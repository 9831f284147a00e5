"""TokenSource: a usable token for one auth object, for any number of threads and tasks.

This module has the steps of callers, and renewal.py has those of a renewal. Threads and tasks
follow the same steps. Errors are returned, not raised. The adapter raises them as errors of its
HTTP library.
"""

from __future__ import annotations

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from mediahound_auth._core.endpoint import (
    Sender,
    needed_for_itself,
    no_thread_error,
    timeout_error,
)
from mediahound_auth._core.lifecycle import (
    OTHER_TRANSPORT_SHARE,
    SUSPENDED_AFTER,
    Action,
    Conditions,
    State,
    fails_alike,
    token_was_accepted,
)
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.renewal import Outcome, Renewal, Steps, within
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.shared_state import SharedTokenState, shared_state_for
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import (
    ConfigurationError,
    MediaHoundAuthError,
    TokenRequestError,
    copy_error,
)
from mediahound_auth.token import Token

__all__ = ["TokenSource"]

# At most so many origins are logged, so that a crawler does not fill the log.
MOST_WARNINGS = 100


class TokenSource:
    """Provides a usable token for one auth object.

    `shared` is the state of the token. All auth objects with an equal grant share it.
    """

    def __init__(self, settings: Settings, send: Sender, transport: object = None) -> None:
        """Use `send` for token requests. Equal `transport`s share connection failures."""
        self.settings = settings
        self.shared: SharedTokenState = shared_state_for(settings.effective_store, settings.grant)
        self._send = send
        self._transport = transport
        self._conditions = Conditions(transport, settings.timeout)

    def get_token(self) -> Steps[Outcome]:
        """Return a token to use now. Waits only if there is no usable token."""
        until, renewal = None, None
        recorded = self.shared.recorded
        if recorded.suspect:
            until = runtime.monotonic() + self.settings.timeout
            yield from self._replace_suspect(recorded)
        while True:
            with runtime.state_lock:
                now, state = runtime.now(), self.shared.state
                action = state.next_action(now, self._conditions)
                if action is Action.RENEW:
                    renewal = self._join(waited_for=True, instead_of=renewal)
                elif action is Action.USE_AND_RENEW:
                    renewal = self._join()
                    self.shared.state = state.on_renewal_started(now, self.settings.timeout)
            if action is not Action.RENEW:
                break
            assert renewal is not None
            until = until or runtime.monotonic() + self.settings.timeout
            outcome = yield from self._wait_for(renewal, until)
            if outcome:
                return outcome
        if action is Action.GIVE_UP:
            return _shared_failure(state, now)
        if renewal and action is Action.USE_AND_RENEW:
            renewal.start()
        assert state.token is not None
        return state.token

    def _replace_suspect(self, suspect: State) -> Steps[None]:
        """Replace a token that an API rejected unseen. All callers wait for one renewal."""
        assert suspect.token is not None
        yield from self._replacement(suspect.token.access_token)
        with runtime.state_lock:
            state, renewal = self.shared.state, self.shared.renewal
            if state.token is suspect.token and (renewal is None or renewal.decision):
                self.shared.state = state._replace(suspect=False)  # it could not be replaced

    def get_replacement(self, rejected: str) -> Steps[Token | None]:
        """Return the token for the retry of a request whose access token an API rejected.

        None: there is no other token, and the 401 is returned to the caller.
        """
        self._on_rejected(rejected)
        return self._replacement(rejected)

    def _replacement(self, rejected: str) -> Steps[Token | None]:
        until, renewal = None, None
        while True:
            with runtime.state_lock:
                state = self.shared.state
                action = state.action_after_401(rejected, runtime.now(), self._conditions)
                if action is Action.RENEW:
                    renewal = self._join(waited_for=True, rejected=rejected, instead_of=renewal)
            if action is not Action.RENEW:
                return state.token if action is Action.USE else None
            assert renewal is not None
            until = until or runtime.monotonic() + self.settings.timeout
            outcome = yield from self._wait_for(renewal, until)
            if isinstance(outcome, Token) and outcome.access_token != rejected:
                return outcome
            if isinstance(outcome, MediaHoundAuthError) or renewal.rejected == rejected:
                return None  # the renewal has logged the failure
            # It had another reason, and perhaps started before the token was revoked.

    def renew(self) -> Steps[Outcome]:
        """Request a token from the endpoint, even if a usable token is at hand."""
        until, renewal = None, None
        while True:
            with runtime.state_lock:
                _ = self.shared.state  # records a decided outcome: such a renewal is not joined
                renewal = self._join(waited_for=True, skip_store=True, instead_of=renewal)
            until = until or runtime.monotonic() + self.settings.timeout
            outcome = yield from self._wait_for(renewal, until)
            if isinstance(outcome, MediaHoundAuthError):
                return outcome
            if outcome and (renewal.skip_store or renewal.attempts):
                return outcome
            # It had another reason, and has found the token in the store.

    def forget(self) -> ConfigurationError | None:
        """Forget the token and all failures, also in the store. Return a callable's error."""
        self.shared.forget()
        store, health = self.settings.effective_store, self.shared.store_health
        if store is None:
            return None
        try:
            key = self.settings.grant.resolved().key()
        except ConfigurationError as error:
            return error.with_traceback(None)  # whose frames hold the secret
        with StoreSession(store, key, health, self.settings.timeout) as session:
            session.discard()
        self.shared.forget()  # a renewal may have found the token before it was discarded
        return None

    def on_response(self, access_token: str, status: int, *, retried: bool = False) -> None:
        """Learn that an API responded with this HTTP status to a request with `access_token`.

        `retried`: the request was retried, because the API had rejected another token.
        """
        if retried:
            events.request_retried(self.settings.grant, status)
            if status == 401:
                self._on_rejected(access_token)
        if token_was_accepted(status):
            with runtime.state_lock:
                self.shared.state = self.shared.state.on_accepted(access_token, retried=retried)

    def _on_rejected(self, access_token: str) -> None:
        with runtime.state_lock:
            before = self.shared.state
            after = before.on_rejected(access_token)
            if after is before:
                return
            self.shared.state = after
        events.new_tokens_rejected(self.settings.grant)

    def on_unseen_response(self, access_token: str) -> None:
        """Record a 401 for `access_token` that the auth flow missed, because a hook raised."""
        with runtime.state_lock:
            self.shared.state = self.shared.state.on_unseen_response(access_token)

    def allows(self, origin: Origin) -> bool:
        """Whether the token may be sent to `origin`. Each other origin is logged once."""
        if origin in self.settings.origins:
            return True
        warned = self.shared.warned_origins
        if origin not in warned and len(warned) < MOST_WARNINGS:
            warned.add(origin)
            events.token_withheld(self.settings.grant, origin)
        return False

    def _join(
        self,
        *,
        waited_for: bool = False,
        rejected: str | None = None,
        skip_store: bool = False,
        instead_of: Renewal | None = None,
    ) -> Renewal:
        """Join the renewal in progress, but not `instead_of`. Otherwise create one.

        `state_lock` is held.
        """
        renewal = self.shared.renewal
        if renewal and renewal.joinable and renewal is not instead_of and not renewal.waits_to_log:
            renewal.extend(self.settings.timeout)
        else:
            stuck = renewal is not None and renewal.at_work and renewal.decision is None
            renewal = Renewal(
                self.settings, self.shared, self._send, self._transport, rejected, skip_store
            )
            renewal.skip_lock = stuck
            self.shared.renewal = renewal
        renewal.waited_for |= waited_for
        return renewal

    def _wait_for(
        self, renewal: Renewal, until: float, *, restarted: bool = False
    ) -> Steps[Outcome | None]:
        """Return the outcome of `renewal`. None: another renewal might end differently.

        `until`: when the caller's time limit is over. It begins after the caller has joined its
        first renewal. So if the caller has created that renewal, the renewal's time is over before,
        and the caller decides the outcome.
        """
        if within.get() and renewal.waits_for_caller:
            return needed_for_itself(self.settings.grant)
        left = max(0.0, until - runtime.monotonic())
        yield (
            renewal,
            left if renewal.transport == self._transport else left * OTHER_TRANSPORT_SHARE,
        )
        decision, now = renewal.decision, runtime.monotonic()
        outcome = decision.outcome if decision else None
        if isinstance(outcome, Token):
            return outcome
        if not renewal.has_thread:
            in_handler = runtime.in_log_handler(of_routine=True)
            error = needed_for_itself if in_handler else no_thread_error
            return error(self.settings.grant)
        if outcome is None and now >= min(until, renewal.deadline):
            outcome = self._timed_out(renewal)
        decision = renewal.decision
        if decision is None or not isinstance(outcome, MediaHoundAuthError):
            return outcome
        suspended = now > until + SUSPENDED_AFTER or renewal.outlasts(SUSPENDED_AFTER)
        if decision.lost and suspended and not restarted:
            # The process was suspended, and this caller with it.
            with runtime.state_lock:
                rejected, skip_store = renewal.rejected, renewal.skip_store
                renewal = self._join(
                    waited_for=True, rejected=rejected, skip_store=skip_store, instead_of=renewal
                )
            until = runtime.monotonic() + self.settings.timeout
            return (yield from self._wait_for(renewal, until, restarted=True))
        tried = Conditions(renewal.transport, decision.timeout)
        alike = not decision.lost and fails_alike(outcome, tried, self._conditions)
        return outcome if alike or now >= until else None

    def _timed_out(self, renewal: Renewal) -> Outcome:
        grant, timeout = self.settings.grant, self.settings.timeout
        error = timeout_error(grant, timeout, renewal.attempts, renewal.last_error)
        renewal.expire(error)
        # Without an outcome, it has more time than this caller, or is about to decide.
        return renewal.outcome or error


def _shared_failure(state: State, now: float) -> MediaHoundAuthError:
    assert state.failure is not None
    error = copy_error(state.failure)
    if isinstance(error, TokenRequestError):
        error.retry_after = state.retry_at - now
    return error
