"""The sequence picture: four calls, and what each of them sends where.

It is drawn from calls that are made against a fake server while the pages are built: each arrow to
the token endpoint or the API is a request that requests has sent, in the order of sending.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from html import escape
from typing import Any, NamedTuple
from unittest.mock import patch

import requests
from requests.adapters import HTTPAdapter

from docs import call_paths
from docs.svg import BRAND, FAINT, INK, PAPER, RAISED
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

APP, AUTH, TOKEN, API = range(4)
NAMES = (["your app"], ["auth"], ["token", "endpoint"], ["API"])
X = (38, 126, 216, 310)  # of the lifelines
WIDTH, ROW, SCENE, TOP = 348, 23, 40, 62


class Message(NamedTuple):
    """An arrow.

    Attributes:
        sender, receiver: numbers of lifelines.
        text: what is sent.
        background: whether no call waits for it.
    """

    sender: int
    receiver: int
    text: str
    background: bool = False


Exchange = tuple[int, str, str, bool]  # with whom, the request, the response, in the background


def hot(server: MediaHoundServer) -> MediaHoundAuth:
    """A valid token is at hand."""
    auth = call_paths.cold(server)
    auth.token()
    return auth


SCENES: dict[str, Callable[[MediaHoundServer], MediaHoundAuth]] = {
    "First call": call_paths.cold,
    "Next calls": hot,
    "Token due for renewal": call_paths.due,
    "Token rejected (401)": call_paths.rejected,
}


def played(prepare: Callable[[MediaHoundServer], MediaHoundAuth]) -> list[Message]:
    """The messages of one call."""
    in_background = prepare is call_paths.due
    exchanges: list[Exchange] = []
    tokens: list[str] = []
    send = HTTPAdapter.send

    def noted(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        authorization, place = str(request.headers["Authorization"]), len(exchanges)
        asks = request.method == "POST"  # for a token
        if not asks and authorization not in tokens:
            tokens.append(authorization)
        background = asks and in_background
        text = "client secret" if asks else f"call, token {tokens.index(authorization) + 1}"
        exchanges.append((TOKEN if asks else API, text, "", background))
        response = send(self, request, *args, **kwargs)
        status = "a token" if asks and response.ok else str(response.status_code)
        exchanges[place] = (*exchanges[place][:2], status, background)
        return response

    with (
        MediaHoundServer(return_same_token=False) as server,
        patch.dict(os.environ, no_proxy="127.0.0.1"),
    ):
        auth = prepare(server)
        # What is in the background is not waited for: the call ends while it is held back.
        held: AbstractContextManager[object] = (
            server.hold_token_requests() if in_background else nullcontext()
        )
        with patch.object(HTTPAdapter, "send", noted):
            with held:
                url = f"{server.url}/1.3/search/all/Gladiator"
                response = requests.get(url, auth=auth, timeout=30)
            call_paths.join_renewals()
    return list(_messages(sorted(exchanges, key=lambda exchange: exchange[3]), response))


def _messages(exchanges: list[Exchange], response: requests.Response) -> Iterator[Message]:
    """The arrows: what happens in the background is drawn after the call, which ends first."""
    yield Message(APP, AUTH, "get()")
    answered = False
    for partner, request, reply, background in exchanges:
        if background and not answered:
            yield Message(AUTH, APP, str(response.status_code))
            answered = True
        yield Message(AUTH, partner, request, background)
        yield Message(partner, AUTH, reply, background)
    if not answered:
        yield Message(AUTH, APP, str(response.status_code))


def picture() -> str:
    """The picture, as SVG: narrow enough for a telephone."""
    shapes, y = [], float(TOP)
    for title, prepare in SCENES.items():
        shapes.append(
            f'<text x="2" y="{y + 15:g}" fill="{BRAND}" font-size="13" font-weight="600" '
            f'stroke="{PAPER}" stroke-width="6" paint-order="stroke">{escape(title)}</text>'
        )
        y += SCENE
        said = False
        for message in played(prepare):
            if message.background and not said:
                shapes.append(_text(2, y - 4, "in the background", FAINT, anchor="start"))
                said = True
            shapes.append(_arrow(message, y))
            y += ROW
    height = y + 4
    lines = [
        f'<line x1="{x}" y1="46" x2="{x}" y2="{height:g}" stroke="{FAINT}" stroke-width="1"/>'
        for x in X
    ]
    heads = [_head(x, names) for x, names in zip(X, NAMES, strict=True)]
    title = "What a call sends: " + "; ".join(SCENES)
    return (
        f'<div class="drawing"><svg viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}" style="width:{1.25 * WIDTH:g}px;max-width:100%" '
        'xmlns="http://www.w3.org/2000/svg">\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" '
        f'fill="{INK}"/></marker></defs>\n'
        + "\n".join([*lines, *heads, *shapes])
        + "\n</svg></div>\n"
    )


def _head(x: float, names: list[str]) -> str:
    texts = "".join(
        _text(x, 24 + 14 * number - 7 * (len(names) - 1) + 4, name, INK, bold=True)
        for number, name in enumerate(names)
    )
    return (
        f'<rect x="{x - 36:g}" y="4" width="72" height="42" rx="6" fill="{RAISED}" '
        f'stroke="{INK}" stroke-width="1.2"/>{texts}'
    )


def _arrow(message: Message, y: float) -> str:
    start, end = X[message.sender], X[message.receiver]
    # Replies are dashed; they go to the left.
    dashes = ' stroke-dasharray="4 3"' if message.receiver < message.sender else ""
    path = (
        f'<path class="message" d="M{start},{y:g} L{end},{y:g}" stroke="{INK}" '
        f'stroke-width="1.2" fill="none" marker-end="url(#head)"{dashes}/>'
    )
    # At the right end, where a longer arrow crosses no other label.
    middle = (X[max(message.sender, message.receiver) - 1] + max(start, end)) / 2
    if {message.sender, message.receiver} == {AUTH, API}:
        middle = (X[AUTH] + X[API]) / 2
    return path + _text(middle, y - 4, message.text, INK)


def _text(
    x: float, y: float, text: str, colour: str, *, anchor: str = "middle", bold: bool = False
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" '
        f'fill="{colour}" font-size="12" font-weight="{600 if bold else 400}" stroke="{PAPER}" '
        f'stroke-width="3" paint-order="stroke">{escape(text)}</text>'
    )
