"""Nothing that a program shows contains the secret or the token."""

from __future__ import annotations

import base64
import logging
import math
import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from libraries import SYNC, Library

import mediahound_auth
from mediahound_auth import MediaHoundAuthError, MemoryStore, Token
from mediahound_auth.testing import MediaHoundServer

SECRET, WRONG_SECRET = "s3cr3t/+&=x", "wr0ng/+&=x"


def basic(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def forms_of(client_id: str, secret: str) -> list[str]:
    return [secret, quote(secret, safe=""), quote_plus(secret), basic(client_id, secret)]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error`, and what it came from, as far as tracebacks go."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def shown_of(error: BaseException) -> Iterator[str]:
    """All that people and tools may show of an exception."""
    yield "".join(traceback.format_exception(error))
    for link in chain(error):
        yield f"{link} {link!r} {link.args!r} {vars(link)!r} {getattr(link, '__notes__', '')!r}"
        for request in (vars(link).get("request"), vars(link).get("_request")):
            if request is not None:
                yield f"{request.url} {dict(request.headers)} {getattr(request, 'body', '')!r}"
        captured = traceback.TracebackException.from_exception(link, capture_locals=True)
        for frame in captured.stack:
            if frame.filename != __file__:  # what we hold in here, we may hold
                yield repr(frame.locals)


def shown_by(record: logging.LogRecord) -> Iterator[str]:
    yield f"{record.getMessage()} {record.args!r} {record.__dict__!r}"
    yield logging.Formatter("%(message)s").format(record)  # with exc_info


class Records(logging.Handler):
    """Keeps all records there are, of every logger and level."""

    def __init__(self) -> None:
        super().__init__(level=1)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


@contextmanager
def every_logger_at_the_lowest_level() -> Iterator[Records]:
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    levels = [(logger, logger.level) for logger in loggers]
    records = Records()
    logging.getLogger().addHandler(records)
    for logger in loggers:
        logger.setLevel(1)
    try:
        yield records
    finally:
        logging.getLogger().removeHandler(records)
        for logger, level in levels:
            logger.setLevel(level)


class BrokenStore(MemoryStore):
    """Fails, and tells everything it knows while doing so."""

    def save(self, key: str, token: Token) -> None:
        raise RuntimeError(f"cannot save {token.access_token} as {key}")


class Program:
    """Makes calls with one of the libraries, and keeps what it saw."""

    def __init__(self, library: Library, server: MediaHoundServer, **options: Any) -> None:
        self._library = library
        self.auth = library.auth(server, **{"timeout": 10.0, **options})
        self.errors: list[MediaHoundAuthError] = []
        self.shown: list[str] = []

    def get(self, url: str) -> None:
        with self.noted():
            self._get(url)

    @contextmanager
    def noted(self) -> Iterator[None]:
        try:
            yield
        except MediaHoundAuthError as error:
            self.errors.append(error)
        self.shown += [repr(self.auth), str(self.auth)]

    def _get(self, url: str) -> None:
        self._library.get(url, self.auth)
        self._library.token(self.auth)

    def renew(self) -> None:
        with self.noted():
            self.auth.renew()


@pytest.fixture
def server(client_id: str) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(
        client_id=client_id, client_secret=SECRET, return_same_token=False
    ) as server:
        yield server


def live_through_everything(program: Program, server: MediaHoundServer, refused: Program) -> None:
    """The whole life of a token, failures included."""
    url = f"{server.url}/1.3/search/all/Gladiator"
    program.get(url)
    program.renew()
    program.get(url.replace("127.0.0.1", "localhost"))  # a foreign origin
    program.get(f"{server.url}/redirect?to=/echo")
    server.revoke_tokens()
    program.get(url)  # retried
    server.reject_api_requests = True
    program.get(url)  # not mended
    server.reject_api_requests = False

    token = program.auth.token().access_token
    echoed = " ".join([token, *forms_of(server.client_id, SECRET)])
    answered = "t0ken-of-the-answer"
    answers: list[tuple[int, str | dict[str, object]]] = [
        (503, {"error": "temporarily_unavailable", "error_description": echoed}),
        (401, {"error": "invalid_client", "error_description": echoed}),
        (400, {"error": echoed, "error_description": echoed}),
        (400, {"error": {"said": echoed}}),
        (200, {"access_token": answered, "error": f"{answered} {echoed}"}),
        (200, {"access_token": answered, "token_type": echoed}),
        (200, {"access_token": answered, "expires_in": echoed}),
        (200, {"access_token": f"{answered} {echoed}"}),
        (200, f"<html>{echoed}</html>"),
        (500, f"<html>{echoed}</html>"),
    ]
    for status, body in answers:
        headers = {"Retry-After": "900"} if status >= 500 else {}
        server.respond_to_token_requests(1, status=status, body=body, headers=headers)
        program.renew()
    server.respond_to_token_requests(1, status=302, headers={"Location": "/elsewhere"})
    program.renew()
    server.drop_token_requests(1)
    program.renew()  # retried, and well
    assert len(program.errors) == 11

    program.auth.forget()
    server.respond_to_token_requests(2, status=400, body={"error": "invalid_scope"})
    program.get(url)
    program.get(url)  # the remembered failure
    server.respond_to_token_requests(0)
    assert len(program.errors) == 13
    refused.get(url)
    refused.renew()
    assert len(refused.errors) == 2


def test_nothing_private_is_shown_in_the_whole_lifetime_of_a_token(
    library: Library, server: MediaHoundServer, capfd: pytest.CaptureFixture[str]
) -> None:
    program = Program(library, server)
    refused = Program(library, server, client_secret=WRONG_SECRET)
    broken = Program(library, server, store=BrokenStore())
    cut_off = Program(library, server, store=MemoryStore(), timeout=0.5)
    with every_logger_at_the_lowest_level() as records:
        live_through_everything(program, server, refused)
        broken.get(f"{server.url}/echo")
        server.drop_token_requests(math.inf)
        while not any(error.__cause__ for error in cut_off.errors):  # or time was up before that
            cut_off.get(f"{server.url}/echo")
    loggers = {record.name.partition(".")[0] for record in records.kept}
    # httpcore and urllib3 have put their word in, so the lowest level is on.
    assert loggers >= {
        "mediahound_auth",
        "urllib3" if library.is_requests else library.module.__name__.replace("httpx", "httpcore"),
    }

    tokens = {call.headers["Authorization"] or "" for call in server.api_requests} - {""}
    assert len(tokens) >= 4
    private = [
        "t0ken-of-the-answer",
        *(value.removeprefix("Bearer ") for value in tokens),
        *forms_of(server.client_id, SECRET),
        *forms_of(server.client_id, WRONG_SECRET),
    ]
    shown = [("log", text) for record in records.kept for text in shown_by(record)]
    for one in (program, refused, broken, cut_off):
        shown += [("repr", text) for text in one.shown]
        shown += [(repr(error), text) for error in one.errors for text in shown_of(error)]
    shown += [("output", text) for text in capfd.readouterr()]
    assert [(where, text) for where, text in shown if any(value in text for value in private)] == []


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": {"error": "invalid_client", "error_description": SECRET}},
        {"status": 400, "body": {"error": "invalid_scope", "error_description": SECRET}},
        {"status": 503, "body": SECRET, "headers": {"Retry-After": "900"}},
        {"status": 200, "body": SECRET},
    ],
    ids=["client refused", "OAuth error", "endpoint down", "garbage"],
)
def test_an_error_survives_a_pickle_and_takes_nothing_private_along(
    answer: dict[str, Any], library: Library, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, **answer)
    program = Program(library, server)
    program.get(f"{server.url}/echo")
    error: Any
    [error] = program.errors
    pickled = pickle.dumps(error)
    again: Any = pickle.loads(pickled)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.request.url == f"{server.url}/echo"
    for name in ("status", "error", "error_description", "retry_after"):
        assert getattr(again, name) == getattr(error, name)
    for value in forms_of(server.client_id, SECRET):
        assert value.encode() not in pickled


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
def test_a_configuration_error_survives_a_pickle_and_shows_nothing_private(
    library: Library,
) -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        library.MediaHoundAuth("id", SECRET, token_url=f"http://{WRONG_SECRET}.example/")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)
    assert [text for text in shown_of(caught.value) if SECRET in text] == []


def fail(*_: Any, **__: Any) -> Any:
    """In a way that is not the library's own."""
    raise LookupError("a bug")


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
def test_an_unexpected_error_is_the_cause_and_shows_nothing_private(
    library: Library, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*library.sending, fail)
    with library.own() as own:
        program = Program(library, server, **own)
        program.get(f"{server.url}/echo")
    [error] = program.errors
    assert isinstance(error.__cause__, LookupError)
    private = forms_of(server.client_id, SECRET)
    assert [text for text in shown_of(error) if any(value in text for value in private)] == []
