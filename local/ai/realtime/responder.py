"""Runs one response at a time."""

import asyncio
import logging
from typing import Any

from local.ai.protocol import ApiError
from local.ai.realtime.channel import Channel, EventError
from local.ai.realtime.config import Config
from local.ai.realtime.conversation import Conversation
from local.ai.realtime.ear import Ear
from local.ai.realtime.engine import Engine
from local.ai.realtime.response import Response

_log = logging.getLogger(__name__)


class Responder:
    """The model's side of a session."""

    def __init__(
        self,
        channel: Channel,
        config: Config,
        conversation: Conversation,
        engine: Engine,
        ear: Ear,
    ) -> None:
        self._channel = channel
        self._config = config
        self._conversation = conversation
        self._engine = engine
        self._ear = ear
        self._active: Response | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a response is under way."""
        return self._active is not None

    async def respond(self, params: dict[str, Any]) -> None:
        """Begin a response.

        Raises:
            EventError: One is under way, or its parameters are wrong.
        """
        if self._active is not None:
            raise EventError(
                "Conversation already has an active response in progress: "
                f"{self._active.id}. Wait until the response is finished before creating a new "
                "one.",
                code="conversation_already_has_active_response",
            )
        response = Response(params, self._channel, self._config, self._conversation, self._engine)
        self._active = response
        await response.begin()
        self._task = asyncio.create_task(self._run(response))

    async def cancel(self, reason: str, response_id: str | None = None) -> bool:
        """Cut the response short; tell whether there was one (of that id)."""
        response = self._active
        if response is None or response_id not in {None, response.id}:
            return False
        await self.close()
        await response.end("cancelled", reason=reason)
        return True

    async def close(self) -> None:
        """Stop, and say nothing more."""
        self._active = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, response: Response) -> None:
        try:
            await self._ear.all_heard()
            await response.run()
        except Exception:  # noqa: BLE001 - whatever a model raises, the client hears of it
            _log.exception("a response failed")
            await response.end("failed", error=ApiError("The server had an error.", status=500))
        finally:
            if self._active is response:
                self._active = None
