"""Numbers go into docs/conversation.md by this, between markers, so that nobody copies them by hand."""

import re
from pathlib import Path

from sovereign_pbx.core.errors import BadInput

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conversation.md"


def filled(page: str, name: str, content: str) -> str:
    """The page with what stands between `<!-- name: … -->` and `<!-- end of name -->` replaced. Raises BadInput."""
    pattern = re.compile(rf"(<!-- {re.escape(name)}:[^\n]*-->\n).*?(<!-- end of {re.escape(name)} -->)", re.DOTALL)
    if not pattern.search(page):
        raise BadInput(f"the page has no markers for {name}: <!-- {name}: who writes it --> and <!-- end of {name} -->")
    return pattern.sub(lambda match: f"{match[1]}{content.strip()}\n{match[2]}", page, count=1)


def write(name: str, content: str) -> None:
    """Put `content` into docs/conversation.md."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), name, content), encoding="utf-8")
