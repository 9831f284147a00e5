"""What a reader types into the search box of the site, and the page that has to be found.

The built index is asked, by the rules of Sphinx's searchtools.js: numbers are no search terms, but
are found as index entries and in titles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sphinx.search.en import SearchEnglish

QUERIES: Mapping[str, str] = {
    "401": "troubleshooting",
    "429": "troubleshooting",
    "503": "troubleshooting",
    "troubleshooting": "troubleshooting",
    "certificate verify failed": "troubleshooting",
    "no client_id: pass client_id= or set MEDIAHOUND_CLIENT_ID": "troubleshooting",
    "MEDIAHOUND_API_URL": "guides/environment-variables",
    "REQUESTS_CA_BUNDLE": "guides/environment-variables",
    "401 Client Error": "troubleshooting",
    "name or service not known": "troubleshooting",
    "self-signed": "guides/timeouts",
    "invalid_client": "troubleshooting",
    "messages": "api/messages",
    "cannot be locked": "api/messages",
    "logging": "guides/logging",
    "monitoring": "guides/logging",
    "observability": "guides/logging",
    "opentelemetry": "guides/logging",
    "FastAPI": "guides/recipes",
    "Django": "guides/recipes",
    "Celery": "guides/recipes",
    "Lambda": "guides/recipes",
    "Jupyter": "guides/recipes",
    "cookbook": "guides/recipes",
    "thread safe": "guides/thread-safety",
    "multiprocessing": "guides/thread-safety",
    "proxy": "guides/timeouts",
    "timeout": "guides/timeouts",
    "retry": "guides/timeouts",
    "environment variables": "guides/environment-variables",
    "quickstart": "quickstart",
    "FAQ": "faq",
    "refresh token": "faq",
    "vcrpy": "guides/testing",
    "betamax": "guides/testing",
    "MockTransport": "guides/testing",
    "ASGITransport": "guides/testing",
    "requests-oauth2client": "migrating/requests-oauth2client",
    "client credentials": "oauth-client-credentials",
    "license": "project/index",
    "changelog": "project/changelog",
    "vulnerability": "project/security-policy",
    "contributing": "project/contributing",
}


class Index(NamedTuple):
    """The search index of a built site."""

    data: Mapping[str, Any]

    @classmethod
    def of(cls, site: Path) -> Index:
        """Read that of the site in this folder."""
        text = (site / "searchindex.js").read_text("utf-8")
        return cls(json.loads(re.sub(r"^Search\.setIndex\(|\)\s*$", "", text)))

    def pages(self, query: str) -> set[str]:
        """The pages that a search finds, by name."""
        asked = query.lower().strip()
        found: set[int] = set()
        for part in ("alltitles", "indexentries"):
            for title, places in self.data[part].items():
                if asked in title.lower() and len(asked) >= len(title) / 2:
                    found |= {place[0] for place in places}
        english = SearchEnglish({})
        words = [word for word in re.findall(r"\w+", asked) if not word.isdigit()]
        of_words = [self._with(english.stem(word)) for word in words if english.word_filter(word)]
        found |= set.intersection(*of_words) if of_words else set()
        return {self.data["docnames"][number] for number in found}

    def _with(self, word: str) -> set[int]:
        """The numbers of the pages that have a word, or one that contains it."""
        found: set[int] = set()
        for part in ("terms", "titleterms"):
            for term, pages in self.data[part].items():
                if term == word or (len(word) > 2 and word in term):
                    found |= {pages} if isinstance(pages, int) else set(pages)
        return found
