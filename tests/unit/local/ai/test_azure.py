"""The AI server on Azure's paths: its key header and its API version are asked for."""

import openai
import pytest

from tests.unit.local.ai_control import set_script


@pytest.fixture(scope="module")
async def endpoint(scripted: openai.AsyncOpenAI) -> str:
    """Address of a server."""
    await set_script(scripted, {"tts": "tone", "stt": []})
    return str(scripted.base_url).removesuffix("/v1/")


async def _ask(client: openai.AsyncOpenAI) -> str | None:
    async with client:
        answer = await client.chat.completions.create(
            model="my-deployment", messages=[{"role": "user", "content": "Hello?"}]
        )
    return answer.choices[0].message.content


async def test_azures_client_is_answered(endpoint: str) -> None:
    client = openai.AsyncAzureOpenAI(
        azure_endpoint=endpoint, api_key="k", api_version="2025-04-01-preview"
    )
    assert await _ask(client) == "Yes."


async def test_a_client_of_openais_is_refused(endpoint: str) -> None:
    """Its key is in another header, and it names no version."""
    path = f"{endpoint}/openai/deployments/my-deployment"
    with pytest.raises(openai.NotFoundError):
        await _ask(openai.AsyncOpenAI(base_url=path, api_key="k", max_retries=0))
    version = {"api-version": "2025-04-01-preview"}
    with pytest.raises(openai.AuthenticationError):
        await _ask(
            openai.AsyncOpenAI(base_url=path, api_key="k", default_query=version, max_retries=0)
        )
