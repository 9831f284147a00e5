"""The plugin for HTTPie: `http -A mediahound -a ID:SECRET URL`, or with both in the environment.

Tokens come from the file store, so that all commands of a user share one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from mediahound_auth._extras import missing_extra

if TYPE_CHECKING:
    from mediahound_auth.requests import MediaHoundAuth

    class AuthPlugin:
        """What is used of HTTPie, which has no types."""

        raw_auth: str | None

else:
    try:
        from httpie.plugins import AuthPlugin
    except ModuleNotFoundError as _error:
        raise missing_extra(_error, __name__, "httpie", "httpie") from None

__all__ = ["MediaHoundPlugin"]


class MediaHoundPlugin(AuthPlugin):
    """What `http --auth-type mediahound` uses."""

    name: ClassVar[str] = "MediaHound"
    description: ClassVar[str] = "OAuth 2 client-credentials grant against the MediaHound API"
    auth_type: ClassVar[str] = "mediahound"
    auth_require: ClassVar[bool] = False
    # What .netrc has is meant for the host that is called; a client secret goes elsewhere.
    netrc_parse: ClassVar[bool] = False

    def get_auth(self, username: str | None = None, password: str | None = None) -> MediaHoundAuth:
        """The auth object for these credentials, or for those of the environment."""
        from mediahound_auth._cli.stderr import say, say_warnings
        from mediahound_auth.errors import ConfigurationError

        # HTTPie keeps it in a --session, and cannot read None from there.
        self.raw_auth: str | None = self.raw_auth or ""
        try:
            # Here, because HTTPie imports this file for each of its commands.
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
