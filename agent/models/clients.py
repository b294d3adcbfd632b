"""Clients of OpenAI's API: one for each server and key, all over one HTTP client."""

import httpx2
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

from agent.settings.servers import Server

CONNECT_TIMEOUT_S = 15.0
KEEP_ALIVE_S = 120.0
"""How long an unused connection stays open: longer than most silences of a call."""


class Clients:
    """Clients for the models of a call, made when they are first needed.

    All share one HTTP client: separate ones would each load an SSL context and block the call's
    loop.
    """

    def __init__(self, timeout_s: float) -> None:
        """Make the HTTP client, but no client of a server yet.

        Args:
            timeout_s: The longest wait for a server's next piece of an answer. It limits every
                request: LiveKit's plugins allow speech to text and text to speech 30 s each.
        """
        self._timeout_s = timeout_s
        self._http = DefaultAsyncHttpxClient(
            limits=httpx2.Limits(
                max_connections=50, max_keepalive_connections=50, keepalive_expiry=KEEP_ALIVE_S
            ),
            event_hooks={"request": [self._limit_wait]},
        )
        self._made: dict[Server, AsyncOpenAI] = {}

    def of(self, server: Server) -> AsyncOpenAI:
        """Return the client of a server."""
        if server not in self._made:
            self._made[server] = self._make(server)
        return self._made[server]

    def all(self) -> list[AsyncOpenAI]:
        """Return the clients made so far, for example to prepare them before a call."""
        return list(self._made.values())

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _make(self, server: Server) -> AsyncOpenAI:
        timeout = Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
        # No retries: LiveKit retries, and reports it.
        if server.azure_api_version:
            return AsyncAzureOpenAI(
                azure_endpoint=server.url,
                api_key=server.key,
                api_version=server.azure_api_version,
                http_client=self._http,
                max_retries=0,
                timeout=timeout,
            )
        return AsyncOpenAI(
            base_url=server.url,
            api_key=server.key,
            http_client=self._http,
            max_retries=0,
            timeout=timeout,
        )

    async def _limit_wait(self, request: httpx2.Request) -> None:
        asked = request.extensions.get("timeout", {})
        read = asked.get("read")
        shorter = self._timeout_s if read is None else min(read, self._timeout_s)
        request.extensions["timeout"] = {**asked, "read": shorter}
