"""Changing the script of a running AI server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai


async def set_script(client: openai.AsyncOpenAI, script: dict[str, Any]) -> None:
    """Put another script in force."""
    await client.post(control_url(client, "script"), body=script, cast_to=object)


@asynccontextmanager
async def faulty(
    client: openai.AsyncOpenAI, script: dict[str, Any], *faults: dict[str, Any]
) -> AsyncIterator[None]:
    """The script with faults, for a while."""
    await set_script(client, script | {"faults": faults})
    yield
    await set_script(client, script)


def control_url(client: openai.AsyncOpenAI, name: str) -> str:
    """The address of a control endpoint, which is no part of OpenAI's API."""
    return str(client.base_url).replace("/v1/", f"/{name}")
