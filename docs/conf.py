"""Sphinx: pages in Markdown, the API from docstrings. `make docs` builds them; a warning is an error."""

import re
import textwrap
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

project = "augrgb"
author = "the augrgb authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Temporal action detection from raw video",
    "page_width": "1100px",
    "fixed_sidebar": True,
}
html_show_copyright = False
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "show-inheritance": True,
    "ignore-module-all": True,
}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

lexers["csv"] = TextLexer()  # which Pygments does not have


def plain_text(
    _app: object, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Docstrings are plain text with `code` in it: keep every sign of it, and drawings as they are drawn."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    lines[:] = "\n\n".join(map(_paragraph, paragraphs)).splitlines()


def _paragraph(text: str) -> str:
    if not text.strip():
        return ""
    drawn = [line.startswith(("  ", "|", "- ")) for line in text.splitlines()]
    if all(drawn) or text.lstrip().startswith("|"):
        return "::\n\n" + textwrap.indent(textwrap.dedent(text), "    ")
    return "\n".join(f"| {_escaped(line)}" if any(drawn) else _escaped(line) for line in text.splitlines())


def _escaped(line: str) -> str:
    """Nothing is markup but `code`."""
    parts = re.split(r"(`[^`]+`)", line)
    code = [f"``{part[1:-1]}``" if part.startswith("`") and len(part) > 2 else None for part in parts]
    return "".join(c or re.sub(r"([\\*_|`])", r"\\\1", part) for c, part in zip(code, parts, strict=True))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_text)
