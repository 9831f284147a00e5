"""The documentation site: `make docs`. Diagrams, tables and plots are made anew each time."""

from __future__ import annotations

import importlib
import re
import sys
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).parent
GENERATED = HERE / "_generated"
sys.path.insert(0, str(HERE.parent))

from docs import (  # noqa: E402
    architecture,
    call_paths,
    diagram,
    fleets,
    inventories,
    links,
    messages,
    results,
    search,
    sequence,
)
from mediahound_auth import __version__, errors  # noqa: E402

project = "mediahound-auth"
author = "The mediahound-auth developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_generated"]
nitpicky = True

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_dark_style = "github-dark"
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad"},
    "dark_css_variables": {"color-brand-primary": "#6cb2f7", "color-brand-content": "#6cb2f7"},
}

myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 3
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"

# Docstrings say `name` where reStructuredText would want ``name``.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_typehints = "both"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

intersphinx_mapping = inventories.mapping(GENERATED)
# requests-oauthlib documents no classes.
nitpick_ignore_regex = [(r"py:.*", r"requests_oauthlib\..*")]
# Type variables.
nitpick_ignore = [
    ("py:class", f"mediahound_auth.testing.static.{name}") for name in ("Auth", "Request")
]

ERRORS = "|".join(errors.__all__)
COLON = "\0"

log = logging.getLogger(__name__)


def from_project(name: str) -> str:
    """A page of the repository, with links as the pages in docs/project need them."""
    text = (HERE.parent / name).read_text("utf-8")
    for link, here in {
        "(docs/": "(../",
        "(CHANGELOG.md)": "(changelog.md)",
        "(SECURITY.md)": "(security-policy.md)",
    }.items():
        text = text.replace(link, here)
    return text


def generate(_: Sphinx) -> None:
    """Make what the pages include."""
    GENERATED.mkdir(exist_ok=True)
    made = {
        "life.html": diagram.picture(),
        "life.md": diagram.table(),
        "architecture.html": architecture.picture(),
        "architecture.md": architecture.listing(),
        "left_out.md": architecture.caption(),
        "call_paths.md": call_paths.page(),
        "sequence.html": sequence.picture(),
        "messages.md": messages.page(),
        "contributing.md": from_project("CONTRIBUTING.md"),
        "security-policy.md": from_project("SECURITY.md"),
    }
    made |= {f"{name}.md": text for name, text in results.pages().items()}
    made |= {f"{name}.md": text for name, text in fleets.pages(GENERATED).items()}
    for name, text in made.items():
        file = GENERATED / name
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def without_colons(
    _: Sphinx, what: str, __: str, ___: object, ____: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what a property says up to a colon for its type."""
    if what == "property":
        lines[:] = [line.replace(":", COLON) for line in lines]


def as_restructured_text(
    _: Sphinx, what: str, name: str, __: object, ___: object, lines: list[str]
) -> None:
    """Say in reStructuredText what our docstrings say, and ask for one where there is none."""
    if what not in ("attribute", "data") and not any(line.strip() for line in lines):
        log.warning("%s has no docstring", name)
    text = "\n".join(lines).replace(COLON, ":")
    text = re.sub(r'("https?://[^"]+")', r"``\1``", text)  # an example is no link
    text = re.sub(rf"^:raises ({ERRORS}):", r":raises ~mediahound_auth.\1:", text, flags=re.M)
    lines[:] = text.split("\n")


def in_words(
    _: Sphinx, what: str, name: str, __: object, ___: object, signature: str | None, returns: str
) -> tuple[str | None, str]:
    """Show types that users know in place of aliases, and errors without what makes them."""
    if what == "exception":
        return signature and "", ""
    library = name.split(".")[1]
    for alias, known in {
        "~mediahound_auth._adapters.httpx_flow.Client": f"{library}.Client",
        "client: Client": "client: ~redis.Redis | ~redis.RedisCluster",
        "EncryptionKey": "str | bytes | ~collections.abc.Sequence[str | bytes]",
        "<built-in function time>": "time.time",
    }.items():
        signature = signature and signature.replace(alias, known)
    return signature, returns


# Aliases that no page explains.
ALIASES = {
    "mediahound_auth._adapters.httpx_flow.Client": "Client",
    "Client": "redis.Redis | redis.RedisCluster",
    "EncryptionKey": "str | bytes | collections.abc.Sequence[str | bytes]",
    "TokenDict": "dict[str, object]",
}


def with_known_types(_: Sphinx, __: str, ___: str, content: nodes.Element) -> None:
    """Spell out aliases in the types of parameters, and drop types that the signature shows."""
    for field in [*content.findall(nodes.field)]:
        name, body = field.children
        if name.astext() == "rtype":
            field.parent.remove(field)
        elif name.astext().startswith("type "):
            text = re.sub(r"[\w.]+", lambda m: ALIASES.get(m[0], m[0]), body.astext())
            field.replace(body, nodes.field_body("", nodes.paragraph("", text)))


# Where long code may be broken.
BREAKS = "|".join(
    [
        r"(?<=\w_)(?=\w)",  # in a name
        r"(?<=::)",
        r"(?<=auth\.)|(?<=fernet\.)|(?<=requests\.)(?=M)",  # after a module
        r"(?<=[\w./]/)(?=\w)",  # in a URL
        r"(?<=\w=)(?=[\"'\[{(])",  # after the name of an option
    ]
)


def with_places_to_break(
    _: Sphinx, __: str, ___: str, context: dict[str, str], ____: object
) -> None:
    """Let long names be broken between words, and be copied without what allows it.

    In the page that is written: the search index has whole names.
    """
    headings_and_cells = r"<h[1-6]>.*?<a class=\"headerlink\"|<t[dh]\b.*?</t[dh]>"
    context["body"] = re.sub(headings_and_cells, _broken, context.get("body", ""), flags=re.DOTALL)


def _broken(part: re.Match[str]) -> str:
    """Return a heading or a cell with places to break, in a cell in code only."""
    text = r"(?<=<span class=\"pre\">)[^<]+" if part[0].startswith("<t") else r"(?<=>)[^<]+"
    return re.sub(text, lambda words: "<wbr>".join(re.split(BREAKS, words[0])), part[0])


def with_column_names(_: Sphinx, page: nodes.document, __: str) -> None:
    """Name the column in each cell of a stacked table: site.css shows that on a telephone."""
    for table in page.findall(nodes.table):
        if "stacked" not in table["classes"]:
            continue
        [head] = table.findall(nodes.thead)
        names = [entry.astext() for entry in head.findall(nodes.entry)]
        for row in next(iter(table.findall(nodes.tbody))).children:
            for name, cell in list(zip(names, row.children, strict=False))[1:]:
                if name and cell.astext():
                    label = f'<span class="column-name" aria-hidden="true">{escape(name)}</span>'
                    cell.insert(0, nodes.raw("", label, format="html"))


def with_folded_tests(_: Sphinx, page: nodes.document, name: str) -> None:
    """Fold the names of tests on the security page, which are long."""
    for row in page.findall(nodes.row) if name == "security" else ():
        cell = row.children[-1]
        if number := len([*cell.findall(nodes.literal)]):
            summary = f"<details><summary>{number} test{'s' if number > 1 else ''}</summary>"
            cell.insert(0, nodes.raw("", summary, format="html"))
            cell.append(nodes.raw("", "</details>", format="html"))


def without_bare_attributes(
    _: Sphinx, __: str, ___: str, member: object, ____: bool, _____: object
) -> bool | None:
    """Leave out what a class's docstring has under Attributes already."""
    return None if callable(member) or isinstance(member, property) else True


read: list[str] = []


def note_read(_: Sphinx, __: object, names: list[str]) -> None:
    """Note which pages this build reads."""
    read[:] = names


def check(app: Sphinx, error: Exception | None) -> None:
    """Warn of public names that no page shows, broken links, and searches that find nothing."""
    if error is None and app.builder.format == "html":
        domain = app.env.domains.python_domain
        for module in domain.modules:
            public = importlib.import_module(module)
            for name in public.__all__:
                inner = f"{getattr(getattr(public, name), '__module__', module)}.{name}"
                if not {f"{module}.{name}", inner} & set(domain.objects):
                    log.warning("no page shows %s.%s", module, name)
        for page, href in links.broken(Path(app.outdir)):
            log.warning("%s: the link %r leads nowhere", page, href)
        index = search.Index.of(Path(app.outdir))
        # Sphinx forgets the index entries of pages that it does not read again.
        asked = search.QUERIES if app.env.found_docs == set(read) else {}
        for query, wanted in asked.items():
            if wanted not in index.pages(query):
                log.warning("a search for %r does not find %s", query, wanted)


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("builder-inited", generate)
    app.connect("autodoc-process-docstring", without_colons, priority=400)
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", in_words)
    app.connect("autodoc-skip-member", without_bare_attributes)
    app.connect("object-description-transform", with_known_types, priority=900)
    app.connect("html-page-context", with_places_to_break)
    app.connect("doctree-resolved", with_folded_tests)
    app.connect("doctree-resolved", with_column_names)
    app.connect("env-before-read-docs", note_read)
    app.connect("build-finished", check)
