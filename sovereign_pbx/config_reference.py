"""The reference in docs/configuration.md, drawn from the model between two markers."""

from sovereign_pbx.assistants.shape import NOTHING
from sovereign_pbx.assistants.table import Key
from sovereign_pbx.config_example import toml
from sovereign_pbx.config_layout import Section, has_default, sections
from sovereign_pbx.core.errors import ConfigError

BEGIN = "<!-- reference: drawn by `sovereign-pbx config reference`, do not edit by hand -->"
END = "<!-- end of reference -->"


def reference() -> str:
    """Every section as a heading and a table."""
    return "\n".join(_section(section) for section in sections())


def placed_in(text: str) -> str:
    """`text` with the reference between its markers made new. Raises ConfigError when it has no markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigError("the file has no place for the reference", remedy=f"put {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _section(section: Section) -> str:
    rows = "".join(_row(key) for key in section.keys)
    table = f"| key | what it may be | default | meaning |\n|---|---|---|---|\n{rows}" if rows else ""
    title = section.header.replace("reception", "NAME").replace("openai", "NAME")
    return f"### `{title}`\n\n{section.doc}\n\n{table}" if section.doc else f"### `{title}`\n\n{table}"


def _row(key: Key) -> str:
    default = f"`{toml(key.default)}`" if has_default(key) else "required" if key.required else ""
    example = f" Example: `{toml(key.example)}`." if key.example is not NOTHING else ""
    cells = (f"`{key.name}`", key.shape.words(), default, f"{key.doc}{example}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
