"""`python -m agent.env_example > .env.example`: each setting with its meaning and its default."""

import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from agent.settings import Settings

HEAD = """\
# Settings of the worker: copy this file to `.env` and fill in the first lines.
# The environment wins over `.env`. What is commented out shows the default.
"""


def render() -> str:
    """Return the text of `.env.example`."""
    return HEAD + "".join(_entries())


def _entries() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        mark = "" if _to_fill_in(name, field) else "# "
        yield f"\n# {field.description}\n{mark}{name.upper()}={_default(field)}\n"


def _to_fill_in(name: str, field: FieldInfo) -> bool:
    return not name.startswith(("agent_", "azure_")) and not _default(field)


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
    sys.stdout.write(render())
