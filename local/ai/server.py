"""The HTTP application: which endpoint is served by what."""

import functools
from pathlib import Path

from aiohttp import web

from local.ai import llama, script
from local.ai.azure import DEPLOYMENT, keyed, versioned
from local.ai.bill import Bill
from local.ai.chat import Chat
from local.ai.current import Current
from local.ai.models import Models
from local.ai.protocol import openai_manners
from local.ai.realtime.engine import Engine
from local.ai.realtime.session import Realtime
from local.ai.speech import Speech
from local.ai.transcribe import Transcription
from local.errors import SettingsError
from local.ports import HOST

_MAX_BODY = 64 * 1024 * 1024
_MODELS = ("whisper-tiny.en", "piper-joe")
_NO_SCRIPT = script.Script(llm="local")


def serve(port: int, script_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: The script is wrong, a model is not installed, or the port is taken.
    """
    first = script.load(script_file) if script_file else _NO_SCRIPT
    try:
        web.run_app(
            _application(first),
            host=HOST,
            port=port,
            print=None,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=0.5,
        )
    except OSError as error:
        raise SettingsError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error


async def _application(first: script.Script) -> web.Application:
    """Load the models of the first script and lay out the endpoints."""
    models, bill = Models(), Bill()
    current = Current(models.prepare)
    await current.use(first)
    chat = Chat(models, current, bill)
    transcription, speech = Transcription(models, current, bill), Speech(models, current, bill)
    realtime = Realtime(Engine(transcription, chat, speech, current, bill))
    app = web.Application(middlewares=[openai_manners], client_max_size=_MAX_BODY)
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat.handle),
            web.post("/v1/audio/transcriptions", transcription.handle),
            web.post("/v1/audio/speech", speech.handle),
            web.get("/v1/realtime", realtime.handle),
            web.get("/v1/models", functools.partial(_models, current)),
            web.post(f"{DEPLOYMENT}/chat/completions", versioned(chat.handle)),
            web.post(f"{DEPLOYMENT}/audio/transcriptions", versioned(transcription.handle)),
            web.post(f"{DEPLOYMENT}/audio/speech", versioned(speech.handle)),
            web.get("/openai/models", versioned(functools.partial(_models, current))),
            web.get("/openai/v1/realtime", keyed(realtime.handle)),
            web.get("/health", _health),
            web.get("/bill", bill.handle),
            web.post("/script", current.replace),
            web.get("/requests", current.requests),
        ]
    )
    app.on_cleanup.append(models.close)
    return app


async def _models(current: Current, _request: web.Request) -> web.Response:
    chat = llama.NAME if current.script.llm == "local" else "script"
    names = (chat, *_MODELS)
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "local"} for name in names]
    return web.json_response({"object": "list", "data": data})


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
