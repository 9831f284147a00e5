"""Authorization servers we did not write: `python tests/support/oauth_servers.py`.

`django-oauth-toolkit` and `authlib`, both on Django in one process. Each has, below its name, a
token endpoint at /token and a protected resource at /api. What the process is told comes as lines
of JSON on its standard input, each answered by one on its standard output; the first line it writes
is its port.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
import uuid
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

SCOPES = "public_profile write"


LIFETIME = 3600
SHORT_LIFETIME = 2


class Process:
    """The process of both; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = f"http://127.0.0.1:{self._answer()}"

    def tell(self, *words: str | int) -> Any:
        """The answer to these words."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


class OAuthServer:
    """One of them."""

    def __init__(self, process: Process, name: str) -> None:
        self.name = name
        self.url = f"{process.url}/{name}"
        self.token_url = f"{self.url}/token"
        self._process = process

    def add_client(
        self, client_id: str, client_secret: str, form: str = "", lifetime: int = LIFETIME
    ) -> None:
        """Register a client that may have every scope, and gets public_profile without asking.

        Its tokens live for `lifetime` seconds. Authlib can hold it to one form of authentication;
        django-oauth-toolkit knows no such thing.
        """
        self._tell("add_client", client_id, client_secret, form, lifetime)

    def revoke(self, client_id: str) -> None:
        """Revoke the client's tokens."""
        self._tell("revoke", client_id)

    def issued(self, client_id: str) -> Any:
        """How many tokens it has issued to that client."""
        return self._tell("issued", client_id)

    def _tell(self, what: str, *words: str | int) -> Any:
        return self._process.tell(self.name, what, *words)


# Of the tokens of django-oauth-toolkit's clients, by their ids.
LIFETIMES: dict[str, int] = {}


def django_oauth_toolkit() -> dict[str, Any]:
    """Its views, and what can be told to it."""
    from django.core.management import call_command
    from django.http import JsonResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt
    from oauth2_provider.decorators import protected_resource
    from oauth2_provider.models import AccessToken, Application
    from oauth2_provider.views import TokenView

    call_command("migrate", run_syncdb=True, verbosity=0)
    issued: dict[str, int] = {}

    def add_client(client_id: str, client_secret: str, _form: str, lifetime: int) -> None:
        Application.objects.create(
            client_id=client_id,
            client_secret=client_secret,
            client_type="confidential",
            authorization_grant_type="client-credentials",
        )
        LIFETIMES[client_id] = lifetime

    class Counted(TokenView):
        def post(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            response = super().post(request, *args, **kwargs)
            if response.status_code == 200:
                latest = AccessToken.objects.latest("pk").application.client_id
                issued[latest] = issued.get(latest, 0) + 1
            return response

    @csrf_exempt
    @protected_resource(scopes=["public_profile"], advertise_metadata=True)
    def api(request: Any) -> Any:
        return JsonResponse({"body": request.body.decode()})

    return {
        "views": [path("token", Counted.as_view()), path("api", api)],
        "add_client": add_client,
        "revoke": lambda client_id: AccessToken.objects.filter(
            application__client_id=client_id
        ).delete(),
        "issued": lambda client_id: issued.get(client_id, 0),
    }


def authlib() -> dict[str, Any]:
    """Its views, and what can be told to it."""
    from authlib.integrations.django_oauth2 import (
        AuthorizationServer,
        BearerTokenValidator,
        ResourceProtector,
    )
    from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants, list_to_scope, scope_to_list
    from authlib.oauth2.rfc6750 import BearerTokenGenerator
    from django.http import JsonResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    class Missing(Exception):
        pass

    class Objects(dict[str, Any]):
        def get(self, **by: str) -> Any:  # type: ignore[override]
            [key] = by.values()
            if key not in self:
                raise Missing
            return self[key]

    class Client(ClientMixin):
        objects, DoesNotExist, user_id = Objects(), Missing, None

        def __init__(self, client_id: str, client_secret: str, form: str, lifetime: int) -> None:
            self.client_id, self.client_secret = client_id, client_secret
            self.form, self.lifetime = form, lifetime
            Client.objects[client_id] = self

        def check_client_secret(self, client_secret: str) -> bool:
            return client_secret == self.client_secret

        def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
            return self.form in ("", method)

        def check_grant_type(self, grant_type: str) -> bool:
            return grant_type == "client_credentials"

        def get_allowed_scope(self, scope: str) -> str:
            allowed = SCOPES.split()
            wanted = scope_to_list(scope) or allowed[:1]
            return str(list_to_scope([one for one in wanted if one in allowed]))

    class Token(TokenMixin):
        objects, DoesNotExist = Objects(), Missing

        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)
            self.issued_at, self.revoked = time.time(), False

        def save(self) -> None:
            Token.objects[vars(self)["access_token"]] = self

        def get_scope(self) -> str:
            return str(vars(self)["scope"])

        def is_expired(self) -> bool:
            return time.time() > self.issued_at + float(vars(self)["expires_in"])

        def is_revoked(self) -> bool:
            return self.revoked

        @classmethod
        def of(cls, client_id: str) -> list[Token]:
            return [token for token in cls.objects.values() if token.client_id == client_id]

    class Grant(grants.ClientCredentialsGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    server = AuthorizationServer(Client, Token)
    server.register_grant(Grant)
    tokens = BearerTokenGenerator(
        lambda **_: uuid.uuid4().hex, expires_generator=lambda client, _: client.lifetime
    )
    server.register_token_generator("default", tokens)
    protector = ResourceProtector()
    protector.register_token_validator(BearerTokenValidator(Token))

    @csrf_exempt
    def token(request: Any) -> Any:
        return server.create_token_response(request)

    @csrf_exempt
    @protector("public_profile")
    def api(request: Any) -> Any:
        return JsonResponse({"body": request.body.decode()})

    def revoke(client_id: str) -> None:
        for one in Token.of(client_id):
            one.revoked = True

    return {
        "views": [path("token", token), path("api", api)],
        "add_client": Client,
        "revoke": revoke,
        "issued": lambda client_id: len(Token.of(client_id)),
    }


def main() -> None:
    """Serve until standard input ends."""
    import threading

    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application

    logging.disable()  # it tells of each refusal
    with tempfile.TemporaryDirectory() as folder:
        apps = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
        settings.configure(
            ROOT_URLCONF=__name__,
            ALLOWED_HOSTS=["127.0.0.1"],
            SECRET_KEY="tests",
            INSTALLED_APPS=apps,
            MIGRATION_MODULES={app.rpartition(".")[2]: None for app in apps},  # tables, no history
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": f"{folder}/db",
                    "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
                }
            },
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            OAUTH2_PROVIDER={
                "SCOPES": dict.fromkeys(SCOPES.split(), ""),
                "DEFAULT_SCOPES": SCOPES.split()[:1],
                "ACCESS_TOKEN_EXPIRE_SECONDS": lambda request: LIFETIMES[request.client.client_id],
            },
            LOGGING_CONFIG=None,
            USE_TZ=True,
        )
        django.setup()
        from django.urls import include, path

        parts = {"django-oauth-toolkit": django_oauth_toolkit(), "authlib": authlib()}
        globals()["urlpatterns"] = [
            path(f"{name}/", include(part["views"])) for name, part in parts.items()
        ]

        class Quiet(WSGIRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        class Server(ThreadingMixIn, WSGIServer):
            daemon_threads = True

        httpd = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Quiet)
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        print(json.dumps(httpd.server_port), flush=True)
        for line in sys.stdin:
            name, what, *words = json.loads(line)
            answer = parts[name][what](*words)
            print(json.dumps(answer if isinstance(answer, int) else None), flush=True)


if __name__ == "__main__":
    main()
