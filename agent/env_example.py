"""Renders the settings as text, each with its meaning and its default.

`python -m agent.env_example > .env.example`, and with `--markdown` > `docs/settings.md`.
"""

import sys
import textwrap
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from agent.settings.all import SECTIONS

HEAD = """\
# Settings of the worker: copy this file to `.env` and fill in the first lines.
# The environment takes precedence over `.env`. Commented lines show the defaults.
"""

MARKDOWN_HEAD = """\
# Settings

The worker reads its settings from the environment and from the file `.env` in the working
directory. The environment takes precedence, and an empty value counts as not set. An unknown
`AGENT_` name or an invalid value stops the worker with a one-line reason (exit code 2). Variables
that Kubernetes (`AGENT_PORT=tcp://...`) or Azure Pipelines set are ignored with a warning.

`python -m agent check` tries all settings without taking a call. [models.md](models.md) explains
the settings of the models. `python -m agent.env_example --markdown` writes this page.
"""


def render() -> str:
    """Return the text of `.env.example`."""
    return HEAD + "".join(_section(section) for section in SECTIONS)


def render_markdown() -> str:
    """Return the text of `docs/settings.md`."""
    return MARKDOWN_HEAD + "".join(_table(section) for section in SECTIONS)


def _section(section: type[BaseSettings]) -> str:
    return f"\n\n# --- {_heading(section)}\n" + "".join(_entries(section))


def _entries(section: type[BaseSettings]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        meaning = textwrap.fill(field.description or "", 100, break_on_hyphens=False)
        mark = "" if section is SECTIONS[0] else "# "
        comment = textwrap.indent(meaning, "# ")
        yield f"\n{comment}\n{mark}{name.upper()}={_default(field)}\n"


def _table(section: type[BaseSettings]) -> str:
    head = "| name | default | meaning |\n| --- | --- | --- |\n"
    return f"\n## {_heading(section)}\n\n{head}" + "".join(_rows(section))


def _rows(section: type[BaseSettings]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        default = f"`{_default(field)}`" if _default(field) else "-"
        yield f"| `{name.upper()}` | {default} | {field.description} |\n"


def _heading(section: type[BaseSettings]) -> str:
    return (section.__doc__ or "").strip().removesuffix(".")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:  # depends on the machine; its description says how
        return ""
    value = field.default
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.get_secret_value() if isinstance(value, SecretStr) else f"{value}"


if __name__ == "__main__":
    sys.stdout.write(render_markdown() if sys.argv[1:] == ["--markdown"] else render())
