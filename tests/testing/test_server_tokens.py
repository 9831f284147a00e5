"""MediaHoundServer as a token endpoint."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import quote_plus

import pytest
from raw_http import (
    DOCUMENTED_BODY,
    DOCUMENTED_REQUEST,
    TOKEN_PATH,
    Clock,
    ask,
    basic,
    call,
    connect_socket,
    get_token,
    post_form,
)

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestTokenEndpoint:
    def test_responds_to_the_documented_request(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            response = http.client.HTTPResponse(connection)
            response.begin()
            answer = json.loads(response.read())
            response.close()
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Pragma"] == "no-cache"
        assert response.headers.get_content_type() == "application/json"
        assert len(answer.pop("access_token")) == 36
        assert answer == {
            "token_type": "bearer",
            "expires_in": 1_209_600,
            "scope": "public_profile",
        }

    def test_records_the_request_byte_for_byte(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            connection.recv(4096)
        (request,) = server.token_requests
        assert request.raw == DOCUMENTED_REQUEST
        assert request.body == DOCUMENTED_BODY
        assert (request.method, request.path, request.status) == ("POST", TOKEN_PATH, 200)
        assert request.headers["aCCEPT"] == "application/json"
        assert server.api_requests == []

    @pytest.mark.parametrize(
        ("form", "authorization"),
        [
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, None),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, basic("MyClientId:")),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, "Basic %%%"),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, "Bearer abc"),
            ({}, basic("MyClientId:MyClientSecret")),
            ({"client_id": "MyClientId"}, basic("MyClientId:MyClientSecret")),
            ({"client_secret": "MyClientSecret"}, basic("MyClientId:MyClientSecret")),
            (
                {"client_id": "MyClientId", "client_secret": "wrong"},
                basic("MyClientId:MyClientSecret"),
            ),
            (
                {"client_id": "wrong", "client_secret": "MyClientSecret"},
                basic("MyClientId:MyClientSecret"),
            ),
        ],
    )
    def test_verifies_header_and_form(
        self, server: MediaHoundServer, form: dict[str, str], authorization: str | None
    ) -> None:
        reply = post_form(server, {"grant_type": "client_credentials", **form}, authorization)
        assert reply.status == 401
        assert reply.json == {
            "error": "invalid_client",
            "error_description": "Bad client credentials",
        }
        assert reply.headers["WWW-Authenticate"] == 'Basic realm="mediahound"'

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": ""}, "invalid_request"),
            ({"scope": "public_profile private_profile"}, "invalid_scope"),
        ],
    )
    def test_rejects_unknown_grants_and_scopes(
        self, server: MediaHoundServer, changes: dict[str, str], error: str
    ) -> None:
        reply = ask(server, **changes)
        assert (reply.status, reply.json["error"]) == (400, error)

    @pytest.mark.parametrize(
        ("path", "content_type", "body"),
        [
            (TOKEN_PATH, "application/json", b"{}"),
            (TOKEN_PATH, "application/x-www-form-urlencoded", b"\xff\xfe{"),
            (
                TOKEN_PATH,
                "application/x-www-form-urlencoded",
                DOCUMENTED_BODY + b"&scope=a&scope=b",
            ),
            (TOKEN_PATH, "application/x-www-form-urlencoded", DOCUMENTED_BODY + b"&client_id=a"),
            (TOKEN_PATH + "?a=b", "application/x-www-form-urlencoded", DOCUMENTED_BODY),
            (TOKEN_PATH + "?a={}", "application/x-www-form-urlencoded", DOCUMENTED_BODY),
        ],
    )
    def test_rejects_a_malformed_request(
        self, server: MediaHoundServer, path: str, content_type: str, body: bytes
    ) -> None:
        headers = {
            "Authorization": basic("MyClientId:MyClientSecret"),
            "Content-Type": content_type,
        }
        reply = call(server, path, method="POST", body=body, headers=headers)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert len(server.token_requests) == 1

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_takes_post_only(self, server: MediaHoundServer, method: str) -> None:
        reply = call(server, TOKEN_PATH, method=method)
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        assert reply.json["error"] == "method_not_allowed"

    def test_grants_the_requested_scopes(self) -> None:
        with MediaHoundServer(scope="public_profile private_profile") as server:
            assert ask(server).json["scope"] == "public_profile private_profile"
            assert ask(server, scope="private_profile").json["scope"] == "private_profile"


class TestForms:
    # Characters that tell the encodings apart.
    CLIENT_ID = "my id+1"
    SECRET = "s:é/%41&="

    def make(self, form: Any) -> MediaHoundServer:
        return MediaHoundServer(
            client_id=self.CLIENT_ID, client_secret=self.SECRET, client_auth=form
        )

    def test_mediahound_encodes_nothing_before_base64(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.CLIENT_ID,
            "client_secret": self.SECRET,
        }
        encoded = basic(f"{quote_plus(self.CLIENT_ID)}:{quote_plus(self.SECRET)}")
        with self.make("mediahound") as server:
            assert post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}")).status == 200
            assert post_form(server, form, encoded).status == 401

    def test_basic_encodes_before_base64(self) -> None:
        form = {"grant_type": "client_credentials"}
        encoded = basic(f"{quote_plus(self.CLIENT_ID)}:{quote_plus(self.SECRET)}")
        with self.make("client_secret_basic") as server:
            assert post_form(server, form, encoded).status == 200
            assert post_form(server, form | {"client_id": self.CLIENT_ID}, encoded).status == 200
            assert post_form(server, form | {"client_id": "other"}, encoded).status == 401
            assert post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}")).status == 401
            assert post_form(server, form).status == 401
            reply = post_form(server, form | {"client_secret": self.SECRET}, encoded)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    def test_post_takes_the_body_only(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.CLIENT_ID,
            "client_secret": self.SECRET,
        }
        with self.make("client_secret_post") as server:
            assert post_form(server, form).status == 200
            assert post_form(server, form | {"client_secret": "wrong"}).status == 401
            reply = post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}"))
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    def test_an_assertion_is_in_the_body_with_its_type(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.SECRET,
        }
        with self.make("client_assertion") as server:
            assert post_form(server, form).status == 200
            assert post_form(server, form | {"client_id": self.CLIENT_ID}).status == 200
            assert post_form(server, form | {"client_id": "other"}).status == 401
            assert post_form(server, form | {"client_assertion": "other"}).status == 401
            assert post_form(server, form | {"client_assertion_type": "saml"}).status == 401

    def test_an_unknown_client_authentication_method_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="client_auth must be one of"):
            self.make("private_key_jwt")


class TestTokenLife:
    def test_returns_the_same_token_with_its_remaining_lifetime(self, clock: Clock) -> None:
        with MediaHoundServer(lifetime=10, clock=clock) as server:
            first = ask(server).json
            assert first["expires_in"] == 10
            for passed, left in [(0.5, 9), (0.5, 9), (8.0, 1), (0.25, 0), (0.5, 0)]:
                clock.now += passed
                assert ask(server).json == first | {"expires_in": left}
            clock.now += 0.25
            second = ask(server).json
        assert second["expires_in"] == 10
        assert second["access_token"] != first["access_token"]

    def test_without_the_same_token_every_token_is_new_and_has_its_own_expiry(
        self, clock: Clock
    ) -> None:
        with MediaHoundServer(lifetime=10, return_same_token=False, clock=clock) as server:
            first = get_token(server)
            clock.now += 4
            second = get_token(server)
            assert first != second
            clock.now += 5.9
            assert call(server, "/", token=first).status == 200
            clock.now += 0.2
            assert call(server, "/", token=first).status == 401
            assert call(server, "/", token=second).status == 200

    @pytest.mark.parametrize(
        ("end", "description"),
        [
            (MediaHoundServer.expire_tokens, "Access token expired"),
            (MediaHoundServer.revoke_tokens, "Access token revoked"),
        ],
    )
    def test_expired_and_revoked_tokens_are_rejected_and_replaced(
        self, server: MediaHoundServer, end: Any, description: str
    ) -> None:
        token = get_token(server)
        end(server)
        reply = call(server, "/", token=token)
        assert reply.status == 401
        assert reply.json == {"error": "invalid_token", "error_description": description}
        assert reply.headers["WWW-Authenticate"] == (
            f'Bearer realm="mediahound", error="invalid_token", error_description="{description}"'
        )
        fresh = get_token(server)
        assert fresh != token
        assert call(server, "/", token=fresh).status == 200

    def test_expire_in_shortens_the_lifetime_of_current_tokens(self, clock: Clock) -> None:
        with MediaHoundServer(clock=clock) as server:
            token = get_token(server)
            server.expire_in(20)
            clock.now += 5
            assert ask(server).json["expires_in"] == 15
            clock.now += 15
            assert call(server, "/", token=token).status == 401
            assert ask(server).json["expires_in"] == 1_209_600

    def test_the_clock_can_be_replaced(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        server.clock = lambda: time.time() + 1_209_601
        assert call(server, "/", token=token).json["error_description"] == "Access token expired"
