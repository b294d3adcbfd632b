"""The HTTP application: which endpoint is served by which model."""

import asyncio
import functools
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from local.ai import llama, script
from local.ai.chat_script import ScriptedChat
from local.ai.protocol import openai_manners
from local.ai.speech import Speech
from local.ai.speech_model import Piper, Tone
from local.ai.transcribe import FixedTranscripts, Transcription, Whisper
from local.errors import SettingsError
from local.ports import HOST

# One at a time of each kind: two at once on two cores would both be late.
_WORKERS_EACH = 1
_MAX_BODY = 64 * 1024 * 1024
_MODELS = ("whisper-tiny.en", "piper-joe")


def serve(port: int, script_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: The script is wrong, a model is not installed, or the port is taken.
    """
    rules = script.load(script_file) if script_file else None
    try:
        web.run_app(
            _application(rules),
            host=HOST,
            port=port,
            print=None,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=0.5,
        )
    except OSError as error:
        raise SettingsError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error


async def _application(rules: script.Script | None) -> web.Application:
    """Load the models side by side, warm them, and lay out the endpoints."""
    hear, speak = (ThreadPoolExecutor(_WORKERS_EACH) for _ in range(2))
    app = web.Application(middlewares=[openai_manners], client_max_size=_MAX_BODY)
    chat, transcription, speech = await asyncio.gather(
        _chat(app, rules), _transcription(rules, hear), _speech(rules, speak)
    )
    name = "script" if rules else llama.NAME
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat.handle),
            web.post("/v1/audio/transcriptions", transcription.handle),
            web.post("/v1/audio/speech", speech.handle),
            web.get("/v1/models", functools.partial(_models, (name, *_MODELS))),
            web.get("/health", _health),
        ]
    )
    if isinstance(chat, ScriptedChat):
        app.add_routes([web.get("/bill", chat.bill)])
    return app


async def _chat(
    app: web.Application, rules: script.Script | None
) -> ScriptedChat | llama.LlamaChat:
    if rules is not None:
        return ScriptedChat(rules)
    chat = await asyncio.to_thread(llama.LlamaChat)
    app.cleanup_ctx.append(chat.running)
    await chat.warm()
    return chat


async def _transcription(rules: script.Script | None, executor: Executor) -> Transcription:
    fixed = rules.stt if rules else None
    recogniser = await asyncio.to_thread(Whisper) if fixed is None else FixedTranscripts(fixed)
    transcription = Transcription(recogniser, executor)
    await transcription.warm()
    return transcription


async def _speech(rules: script.Script | None, executor: Executor) -> Speech:
    model = Tone() if rules and rules.tts else await asyncio.to_thread(Piper)
    speech = Speech(model, executor)
    await speech.warm()
    return speech


async def _models(names: tuple[str, ...], _request: web.Request) -> web.Response:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "local"} for name in names]
    return web.json_response({"object": "list", "data": data})


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
