"""Checks each model separately, with requests like those of a call."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
    utils,
)
from livekit.agents.llm import LLM, RealtimeModel
from livekit.agents.stt import STT
from livekit.agents.tts import TTS

from agent.models.build import Models
from agent.settings import Settings
from agent.settings.servers import SECOND_URL_NAME, Kind, Server, second_server, server_of
from callrecord.errors import VoiceError

SENTENCE = "Hello, can you hear me?"

Attempt = Callable[[], Awaitable[str]]


class ModelChecks:
    """The checks of a set of models.

    The checks of speech to text use the output of text to speech: run them in order.
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings = settings
        self._models = models
        self._asked = APIConnectOptions(max_retry=0, timeout=settings.agent_model_timeout_s)
        self._spoken: list[rtc.AudioFrame] = []

    def all(self) -> list[tuple[str, Attempt]]:
        """Return the checks, each with the name of its part."""
        models = self._models
        realtime = [] if models.realtime is None else [models.realtime]
        rows: list[tuple[str, Kind, Sequence[Any], Callable[[Any], Awaitable[str]]]] = [
            ("realtime model", "realtime", realtime, self._realtime),
            ("language model", "llm", models.llm, self._llm),
            ("text to speech", "tts", models.tts, self._tts),
            ("speech to text", "stt", models.stt, self._stt),
        ]
        return [
            (_part(name, place), self._named(kind, place, ask, model))
            for name, kind, several, ask in rows
            for place, model in enumerate(several)
        ]

    def _named(
        self, kind: Kind, place: int, ask: Callable[[Any], Awaitable[str]], model: Any
    ) -> Attempt:
        """Return a check whose errors name the settings to change."""

        async def attempt() -> str:
            try:
                return await ask(model)
            except APIError as error:
                server = self._server(kind, place, model)
                if server is None:
                    raise
                second = server.url_name == SECOND_URL_NAME
                setting = f"AGENT_{'FALLBACK_' if second else ''}{kind.upper()}_MODEL"
                raise VoiceError(_advice(error, server, setting, model.model)) from error

        return attempt

    def _server(self, kind: Kind, place: int, model: Any) -> Server | None:
        """Return the configured server of a model; None for other plugins."""
        servers = [server_of(self._settings, kind), second_server(self._settings)]
        if place:  # both may be on one host
            servers.reverse()
        for server in servers:
            if urlsplit(server.url).netloc == model.provider:
                return server
        return None

    async def _llm(self, model: LLM[Any]) -> str:
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Say hello.")
        words = ""
        async with model.chat(chat_ctx=context, conn_options=self._asked) as stream:
            async for chunk in stream:
                words += chunk.delta.content or "" if chunk.delta else ""
        if not words.strip():
            raise APIError("it answered with nothing")
        return f"{model.model} answers"

    async def _tts(self, model: TTS[Any]) -> str:
        async with model.synthesize(SENTENCE, conn_options=self._asked) as stream:
            frames = [part.frame async for part in stream]
        seconds = sum(frame.duration for frame in frames)
        if not seconds:
            raise APIError("it gave no audio")
        self._spoken = self._spoken or frames
        return f"{model.model} spoke for {seconds:.1f} s"

    async def _stt(self, model: STT[Any]) -> str:
        if not self._spoken:
            raise VoiceError("not tried: there was no speech to try it with")
        heard = await model.recognize(utils.combine_frames(self._spoken), conn_options=self._asked)
        text = heard.alternatives[0].text if heard.alternatives else ""
        if not text.strip():
            raise APIError("it heard nothing in clear speech")
        return f"{model.model} heard “{text.strip()}”"

    async def _realtime(self, model: RealtimeModel) -> str:
        session = model.session()
        failed: asyncio.Future[tuple[str, float]] = asyncio.get_running_loop().create_future()

        def fail(event: llm.RealtimeModelError) -> None:
            if not failed.done():
                failed.set_exception(event.error)

        session.on("error", fail)
        answering = asyncio.create_task(_answer(session))
        try:
            await asyncio.wait({answering, failed}, return_when=asyncio.FIRST_COMPLETED)
            words, seconds = (failed if failed.done() else answering).result()
        finally:
            answering.cancel()
            failed.cancel()
            await asyncio.gather(answering, failed, session.aclose(), return_exceptions=True)
        if not seconds:
            raise APIError("it said nothing")
        return f"{model.model} said “{words.strip()}” in {seconds:.1f} s of speech"


async def _answer(session: llm.RealtimeSession[Any]) -> tuple[str, float]:
    context = session.chat_ctx.copy()
    context.add_message(role="user", content="Say hello.")
    await session.update_chat_ctx(context)
    generation = await session.generate_reply()
    words, seconds = "", 0.0
    async for message in generation.message_stream:
        async for frame in message.audio_stream:
            seconds += frame.duration
        async for part in message.text_stream:
            words += part
    return words, seconds


def _part(name: str, place: int) -> str:
    return name if not place else f"{name}, provider {place + 1}"


def _advice(error: APIError, server: Server, setting: str, model: str) -> str:
    """Return what is wrong and which setting to change."""
    where = f"{server.url} ({server.url_name})"
    status = _status(error)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{where} refuses the key: change {server.key_name}"
    if status == HTTPStatus.NOT_FOUND:
        return f"{where} has no {model}, or not there: change {setting} or the address"
    if status is not None:
        return f"{where} answers {status} for {model} ({setting}): {error.message}"
    if isinstance(error, APITimeoutError):
        return f"no answer in AGENT_MODEL_TIMEOUT_S of {where}"
    if isinstance(error, APIConnectionError):
        return f"no connection to {where}"
    return f"{model} ({setting}) at {where}: {error.message}"


def _status(error: APIError) -> int | None:
    if isinstance(error, APIStatusError):
        return error.status_code
    # A refused WebSocket has its status in the cause.
    refused = error.__cause__
    return refused.status if isinstance(refused, aiohttp.WSServerHandshakeError) else None
