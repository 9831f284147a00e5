"""Links between the built pages, and to places within them: each leads somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """A page's links, and the places in it that links can name."""

    def __init__(self, text: str) -> None:
        """Read `text`, which is HTML."""
        super().__init__()
        self.hrefs: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element says."""
        for name, value in attrs:
            if value and name == "id":
                self.places.add(value)
            elif value and name in ("href", "src") and tag != "link":
                self.hrefs.append(value)


def broken(site: Path) -> Iterator[tuple[str, str]]:
    """The pages below `site` and the links on each that lead nowhere."""
    pages = {file: Page(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        for href in page.hrefs:
            parts = urlsplit(href)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            known = target in pages if target.suffix == ".html" else target.is_file()
            place = unquote(parts.fragment)
            if not known or (place and target in pages and place not in pages[target].places):
                yield str(file.relative_to(site)), href
