"""The classes of errors: attributes, bases, pickling."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import ModuleType

import httpx
import pytest
import requests

import mediahound_auth
import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.errors import ErrorTypes, copy_error

TREE: dict[type[Exception], tuple[type[Exception], ...]] = {
    MediaHoundAuthError: (Exception,),
    ConfigurationError: (MediaHoundAuthError, ValueError),
    TokenRequestError: (MediaHoundAuthError,),
    InvalidClientError: (TokenRequestError,),
    TokenEndpointUnavailable: (TokenRequestError,),
    InvalidTokenResponse: (TokenRequestError,),
}
OF_REQUESTS = [error for error in TREE if issubclass(error, TokenRequestError)]
RAISED_BY_ADAPTERS = [ConfigurationError, *OF_REQUESTS]
ADAPTERS = [
    pytest.param(mediahound_auth.requests, requests.RequestException, id="requests"),
    pytest.param(mediahound_auth.httpx, httpx.RequestError, id="httpx"),
]


@pytest.mark.parametrize("error", TREE)
def test_the_tree_is_the_documented_one(error: type[Exception]) -> None:
    assert error.__bases__ == TREE[error]


@pytest.mark.parametrize("error", TREE)
def test_the_package_names_each_of_them(error: type[Exception]) -> None:
    assert getattr(mediahound_auth, error.__name__) is error
    assert error.__name__ in mediahound_auth.__all__


@pytest.mark.parametrize("error", RAISED_BY_ADAPTERS)
@pytest.mark.parametrize(("adapter", "base"), ADAPTERS)
def test_an_adapters_error_is_also_an_error_of_its_library(
    adapter: ModuleType, base: type[Exception], error: type[Exception]
) -> None:
    own = getattr(adapter, error.__name__)
    assert issubclass(own, error)
    assert issubclass(own, base)
    assert error.__name__ in adapter.__all__


@pytest.mark.parametrize("error", OF_REQUESTS)
@pytest.mark.parametrize("adapter", [mediahound_auth.requests, mediahound_auth.httpx])
def test_an_adapters_errors_form_the_same_tree(adapter: ModuleType, error: type[Exception]) -> None:
    assert issubclass(getattr(adapter, error.__name__), adapter.TokenRequestError)


@pytest.mark.parametrize("error", OF_REQUESTS)
def test_unknown_fields_of_a_failure_are_none(error: type[TokenRequestError]) -> None:
    failure = error("no answer")
    assert str(failure) == "no answer"
    assert failure.status is None
    assert failure.error is None
    assert failure.error_description is None
    assert failure.retry_after is None


def every_error() -> list[object]:
    homes = (mediahound_auth, mediahound_auth.requests, mediahound_auth.httpx)
    return [
        pytest.param(getattr(home, error.__name__), id=f"{home.__name__}.{error.__name__}")
        for home in homes
        for error in OF_REQUESTS
    ]


def a_failure(kind: type[TokenRequestError]) -> TokenRequestError:
    return kind(
        "what happened",
        status=429,
        error="slow_down",
        error_description="not so fast",
        retry_after=7.5,
    )


def facts(failure: MediaHoundAuthError) -> tuple[object, ...]:
    assert isinstance(failure, TokenRequestError)
    return (
        str(failure),
        failure.status,
        failure.error,
        failure.error_description,
        failure.retry_after,
    )


@pytest.mark.parametrize("kind", every_error())
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copy", "pickle"],
)
def test_an_error_survives_its_way_to_another_process(
    duplicate: Callable[[TokenRequestError], TokenRequestError], kind: type[TokenRequestError]
) -> None:
    twin = duplicate(a_failure(kind))
    assert type(twin) is kind
    assert facts(twin) == ("what happened", 429, "slow_down", "not so fast", 7.5)


@pytest.mark.parametrize("kind", every_error())
def test_a_shared_failure_says_the_same_to_each_who_gets_it(kind: type[TokenRequestError]) -> None:
    cause = OSError("connection refused")
    try:
        raise a_failure(kind) from cause
    except TokenRequestError as caught:
        failure = caught
    mine, theirs = copy_error(failure), copy_error(failure)
    assert len({id(mine), id(theirs), id(failure)}) == 3
    for one in (mine, theirs):
        assert type(one) is kind
        assert facts(one) == facts(failure)
        assert one.__cause__ is cause
        assert one.__traceback__ is None


def test_a_shared_failure_is_what_each_adapters_users_catch() -> None:
    failure = a_failure(InvalidClientError)
    kinds: ErrorTypes = {InvalidClientError: mediahound_auth.requests.InvalidClientError}
    translated = copy_error(failure, kinds)
    assert type(translated) is mediahound_auth.requests.InvalidClientError
    assert facts(translated) == facts(failure)


def test_changing_a_shared_failure_does_not_change_that_of_other_callers() -> None:
    failure = a_failure(TokenEndpointUnavailable)
    mine, theirs = copy_error(failure), copy_error(failure)
    assert isinstance(mine, TokenRequestError)
    mine.retry_after = 1.0
    assert facts(theirs) == facts(failure) == facts(a_failure(TokenEndpointUnavailable))


def test_retryable_is_passed_on() -> None:
    failure = TokenEndpointUnavailable("an untrusted certificate")
    assert failure.retryable
    failure.retryable = False
    shared = copy_error(failure)
    assert isinstance(shared, TokenEndpointUnavailable)
    assert not shared.retryable
