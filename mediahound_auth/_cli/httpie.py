"""The HTTPie plugin: `http -A mediahound -a ID:SECRET URL`. -a defaults to the environment.

Tokens are kept in the file store, so that all commands of a user share one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from mediahound_auth._extras import missing_extra

if TYPE_CHECKING:
    from mediahound_auth.requests import MediaHoundAuth

    class AuthPlugin:
        """The part of HTTPie that is used; HTTPie has no types."""

        raw_auth: str | None

else:
    try:
        from httpie.plugins import AuthPlugin
    except ModuleNotFoundError as _error:
        raise missing_extra(_error, __name__, "httpie", "httpie") from None

__all__ = ["MediaHoundPlugin"]


class MediaHoundPlugin(AuthPlugin):
    """The auth plugin for `http --auth-type mediahound`."""

    name: ClassVar[str] = "MediaHound"
    description: ClassVar[str] = "OAuth 2 client-credentials grant against the MediaHound API"
    auth_type: ClassVar[str] = "mediahound"
    auth_require: ClassVar[bool] = False
    # .netrc has credentials for the called host. The client secret is for the token endpoint.
    netrc_parse: ClassVar[bool] = False

    def get_auth(self, username: str | None = None, password: str | None = None) -> MediaHoundAuth:
        """Return the auth object for these credentials, or for those of the environment."""
        from mediahound_auth._cli.stderr import say, say_warnings
        from mediahound_auth.errors import ConfigurationError

        # HTTPie stores it in a --session file, and cannot read None from there.
        self.raw_auth: str | None = self.raw_auth or ""
        try:
            # Imported here, because HTTPie imports this file for each command.
            from mediahound_auth.requests import MediaHoundAuth
            from mediahound_auth.stores import FileStore

            auth = MediaHoundAuth(username or None, password or None, store=FileStore())
        except (ConfigurationError, ModuleNotFoundError) as error:
            # HTTPie would show a traceback.
            message = re.sub("pass client_(id|secret)=", "pass -a ID:SECRET", str(error))
            say("http", f"error: {message}")
            raise SystemExit(1) from None
        say_warnings("http")
        return auth
