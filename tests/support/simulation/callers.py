"""Callers: threads and tasks that use an auth object as an adapter does."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from mediahound_auth._core import renewal as renewals
from mediahound_auth._core import runtime
from mediahound_auth._core.source import TokenSource
from mediahound_auth.token import Token
from simulation.machine import Cancelled, pause, run_task
from simulation.scheduler import FOREVER, Process, Task, scheduler

if TYPE_CHECKING:
    from simulation.scenario import Scenario

__all__ = ["Auth", "Caller", "Interruption", "Use"]


class Interruption(TimeoutError):
    """What a signal handler of the caller's raises."""


class Auth:
    """An auth object of the simulated world: a TokenSource, and which way its requests go.

    Attributes:
        route: the way of its token requests: "direct", or one that leads nowhere.
    """

    def __init__(self, scenario: Scenario, process: Process, client_id: str, route: str) -> None:
        self.process = process
        self.client_id = client_id
        self.route = route
        self.scenario = scenario
        self.source: TokenSource

    def usable(self) -> Token | None:
        """The token that this process has and may use, if it has one."""
        state = self.source.shared.recorded
        return state.token if state.usable(self.scenario.now(self.process)) else None


class Use:
    """One use of an auth object: a call to the API, or of `token`, `renew` or `forget`.

    Attributes:
        usable, replaced: the token at hand, and those known to be rejected, when it began.
        result: a token, an HTTP status or an error.
    """

    def __init__(self, caller: Caller, kind: str) -> None:
        self.caller = caller
        self.kind = kind
        self.auth = caller.auth
        self.started, self.step = scheduler.time, scheduler.steps
        self.usable = caller.auth.usable()
        self.replaced = caller.auth.scenario.promises.replaced_of(caller.auth)
        self.result: object = None

    def steps(self) -> Generator[Any, None, None]:
        """What an adapter does."""
        source = self.auth.source
        if self.kind == "renew":
            self.result = yield from self._timed(source.renew())
        elif self.kind == "token":
            self.result = yield from self._timed(source.get_token())
        else:
            yield from self._call(source)

    def _timed(self, steps: Generator[Any, None, Any]) -> Generator[Any, None, Any]:
        started, stalled = scheduler.time, scheduler.current.stalled
        outcome = yield from steps
        stalled = scheduler.current.stalled - stalled
        self.auth.scenario.promises.waited(self, scheduler.time - started - stalled, stalled)
        return outcome

    def _call(self, source: TokenSource) -> Generator[Any, None, None]:
        renew_at, authorization, unconfirmed = source.shared.fast_path
        if runtime.now() >= renew_at:
            self.result = yield from self._timed(source.get_token())
            if not isinstance(self.result, Token):
                return
            authorization = self.result.authorization
        access_token = str.removeprefix(authorization, "Bearer ")
        self.result = self._send(access_token)
        if self.kind == "unseen call":
            if self.result == 401:
                source.on_unseen_response(access_token)
            self.result = 200
            return
        if self.result != 401:
            if unconfirmed:
                source.on_response(access_token, 200)
            return
        token = yield from self._timed(source.get_replacement(access_token))
        if token is not None:
            self.auth.scenario.promises.replaced(self.auth, access_token, token)
            self.result = self._send(token.access_token)
            source.on_response(token.access_token, self.result, retried=True)

    def _send(self, access_token: str) -> int:
        scenario = self.auth.scenario
        scenario.promises.token_used(self, access_token)
        return scenario.api.status(self.auth.client_id, access_token)


class Caller:
    """A thread, or a task of an event loop, that uses `auth` several times."""

    def __init__(self, auth: Auth, plan: list[tuple[float, str]], on_loop: bool) -> None:
        self.auth = auth
        self.plan = plan
        self.on_loop = on_loop
        self.interrupted_after: int = 0  # steps of its second use
        self.cancelled_after: float = FOREVER  # seconds
        self.handler_calls = False  # the signal handler makes a call, and raises nothing
        self.interrupted = False

    def run(self) -> None:
        """Use it as planned."""
        for seconds, kind in self.plan:
            if seconds:
                pause(seconds)
            self.use(kind)

    def use(self, kind: str) -> None:
        """Use it once."""
        scenario = self.auth.scenario
        if kind == "fork":
            scenario.fork(self.auth)
            return
        if kind == "forget":
            began = scenario.promises.forgets(self.auth)
            self.auth.source.forget()
            scenario.promises.forgotten(self.auth, began)
            return
        use = Use(self, kind)
        task = scheduler.current
        if not self.on_loop and self.interrupted_after:
            self._burn(task)
        try:
            if self.on_loop:
                run_task(renewals.run_steps_async(use.steps()), self._cancelled_at())
            else:
                renewals.run_steps(use.steps())
        except (Interruption, Cancelled):
            self.interrupted = True
            return
        finally:
            burnt = not task.fuse and isinstance(task.interruption, Interruption)
            task.fuse = 0
            task.interruption = None
        if burnt and not self._may_take_over():
            scheduler.violate(f"an interruption is the caller's own: {use.result!r} came of it")
        self.auth.scenario.promises.used(use)

    def _may_take_over(self) -> bool:
        """Whether the thread of a renewal may not begin in time: then a caller does its work."""
        slow = self.auth.process.threads != "run" or scheduler.lost > 0
        callers = self.auth.scenario.callers
        return slow or any(caller.interrupted or caller.handler_calls for caller in callers)

    def _burn(self, task: Task) -> None:
        task.fuse, task.interruption = self.interrupted_after, Interruption()
        self.interrupted_after = 0
        if self.handler_calls:
            task.interruption = lambda: self.use("token")

    def _cancelled_at(self) -> float:
        moment, self.cancelled_after = scheduler.time + self.cancelled_after, FOREVER
        return moment
