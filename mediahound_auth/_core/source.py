"""TokenSource: a usable token for one auth object, whoever needs it and from wherever.

These are the steps of callers; a renewal's own are in renewal.py. Threads and tasks follow the same
steps. What goes wrong is returned, not raised: the adapter raises it, as an error of its library.
"""

from __future__ import annotations

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from mediahound_auth._core.endpoint import (
    Sender,
    needs_itself_error,
    no_thread_error,
    timeout_error,
)
from mediahound_auth._core.lifecycle import Action, token_was_accepted
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.renewal import Outcome, Renewal, Steps
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.shared_state import SharedTokenState, shared_state_for
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import ConfigurationError, TokenRequestError, copy_error
from mediahound_auth.token import Token

__all__ = ["TokenSource"]

# Other origins that are named in a warning, so that a crawler does not fill the log.
MOST_WARNINGS = 100


class TokenSource:
    """A usable token for one auth object, with these settings.

    `shared` is what is known of the token, shared with all auth objects of the same grant.
    """

    def __init__(self, settings: Settings, send: Sender) -> None:
        self.settings = settings
        self.shared: SharedTokenState = shared_state_for(settings.store_or_default, settings.grant)
        self._send = send

    def get_token(self, *, again: bool = False) -> Steps[Outcome]:
        """A token to use now; waits only if there is no usable one.

        `again`: the renewal that was waited for is lost. (This is not tried a third time.)
        """
        if self.shared.recorded.suspect:
            yield from self._replace_suspect()
        renewal = None
        with runtime.state_lock:
            now, state = runtime.now(), self.shared.state
            action = state.next_action(now)
            if action is Action.USE_AND_RENEW:
                renewal = self._join()
                self.shared.state = state.on_renewal_started(now, self.settings.timeout)
            elif action is Action.RENEW:
                renewal = self._join(waited_for=True)
        if action is Action.GIVE_UP:
            assert state.failure is not None
            error = copy_error(state.failure)
            if isinstance(error, TokenRequestError):
                error.retry_after = state.retry_at - now
            return error
        if renewal and action is Action.RENEW:
            yield renewal, self.settings.timeout
            outcome = renewal.outcome or self._timed_out(renewal)
            if renewal.lost and not again:
                outcome = yield from self.get_token(again=True)
            return outcome
        if renewal:
            renewal.start()
        assert state.token is not None
        return state.token

    def _replace_suspect(self) -> Steps[None]:
        with runtime.state_lock:
            state = self.shared.state
            self.shared.state = state._replace(suspect=False)
        if state.suspect and state.token:
            yield from self.get_replacement(state.token.access_token)

    def get_replacement(self, rejected: str) -> Steps[Token | None]:
        """The token to retry a request with whose access token, `rejected`, an API rejected.

        None: there is none, and the 401 is returned to the caller.
        """
        again = False
        while True:
            renewal = None
            with runtime.state_lock:
                state = self.shared.state
                action = state.action_after_401(rejected, runtime.now())
                if action is Action.RENEW:
                    renewal = self._join(waited_for=True, rejected=rejected)
            if renewal is None:
                return state.token if action is Action.USE else None
            yield renewal, self.settings.timeout
            outcome = renewal.outcome or self._timed_out(renewal)
            if renewal.lost and not again:
                again = True
                continue
            if not isinstance(outcome, Token):
                return None  # the renewal has logged the failure
            if outcome.access_token != rejected:
                return outcome
            if renewal.rejected == rejected:
                return None
            # It was started for another reason, perhaps before the token was revoked.

    def renew(self) -> Steps[Outcome]:
        """What the endpoint returns when asked now, whatever is at hand."""
        again = False
        while True:
            with runtime.state_lock:
                _ = self.shared.state  # with the outcome, if that is decided: it is not joined then
                renewal = self._join(waited_for=True, skip_store=True)
            yield renewal, self.settings.timeout
            outcome = renewal.outcome or self._timed_out(renewal)
            if renewal.lost and not again:
                again = True
                continue
            if renewal.skip_store or renewal.attempts or not isinstance(outcome, Token):
                return outcome
            # It was started for another reason, and has found the token in the store.

    def forget(self) -> ConfigurationError | None:
        """Forget all failures and the token, here and, unless a callable fails, in the store."""
        self.shared.forget()
        try:
            key = self.settings.grant.resolved().key()
        except ConfigurationError as error:
            return error.with_traceback(None)  # whose frames hold the secret
        store, health = self.settings.store_or_default, self.shared.store_health
        with StoreSession(store, key, health, self.settings.timeout) as session:
            session.discard()
        return None

    def on_response(self, access_token: str, status: int, *, retried: bool = False) -> None:
        """An API responded with this HTTP status to a request that carried `access_token`.

        `retried`: it had rejected another token before.
        """
        if retried:
            events.request_retried(self.settings.grant, status)
        if token_was_accepted(status):
            with runtime.state_lock:
                self.shared.state = self.shared.state.on_accepted(access_token, retried=retried)

    def on_unseen_response(self, access_token: str) -> None:
        """A call whose request carried `access_token` has ended, and its response was not seen."""
        with runtime.state_lock:
            self.shared.state = self.shared.state.on_unseen_response(access_token)

    def allows(self, origin: Origin) -> bool:
        """Whether the token may go to `origin`; the first request to another one logs a warning."""
        if origin in self.settings.origins:
            return True
        warned = self.shared.warned_origins
        if origin not in warned and len(warned) < MOST_WARNINGS:
            warned.add(origin)
            events.token_withheld(self.settings.grant, origin)
        return False

    def _join(
        self, *, waited_for: bool = False, rejected: str | None = None, skip_store: bool = False
    ) -> Renewal:
        """The renewal in progress, or a new one. With `state_lock` held."""
        renewal = self.shared.renewal
        if renewal is None or not renewal.joinable:
            stuck = renewal is not None and renewal.at_work and renewal.outcome is None
            renewal = Renewal(self.settings, self.shared, self._send, rejected, skip_store)
            renewal.skip_lock = stuck
            self.shared.renewal = renewal
        renewal.waited_for |= waited_for
        renewal.deadline = max(renewal.deadline, renewal.started + self.settings.timeout)
        return renewal

    def _timed_out(self, renewal: Renewal) -> Outcome:
        if renewal.needs_itself:
            return needs_itself_error(self.settings.grant)
        if not renewal.has_thread:
            return no_thread_error(self.settings.grant)
        error = timeout_error(self.settings.grant, self.settings.timeout, renewal.last_error)
        if not renewal.remaining:
            renewal.fail(error)
        # If there is no outcome yet, it has more time than this caller, or is just deciding.
        return renewal.outcome or error
