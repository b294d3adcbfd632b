"""`python -m agent check`: test the whole set-up without taking a call, and report problems."""

import asyncio
import logging
import shutil
import time
from dataclasses import dataclass
from functools import partial

from livekit.agents import __version__ as livekit_version
from livekit.agents import utils

from agent.check.check_models import Attempt, ModelChecks
from agent.check.livekit_project import count_rooms, project_of
from agent.livekit_names import NAMES
from agent.models.pipeline import prepare
from agent.persona import Persona, load_assistant
from agent.settings import Settings, require_database, require_livekit, require_models
from agent.settings.secrets import without_secrets
from agent.speech.speech_cache import SpeechCache
from callrecord.errors import Transient, VoiceError
from callrecord.outbox.directory import OutboxHome
from callrecord.postgres.store import check_schema
from callrecord.privacy import describe
from callrecord.recording.instrumentation import livekit_names
from callrecord.schema.holes import holes_of

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        part: The part that was checked.
        ok: Whether the check passed.
        detail: What was found, or what to change.
        seconds: How long the check took.
    """

    part: str
    ok: bool
    detail: str
    seconds: float


async def check(settings: Settings) -> list[Finding]:
    """Check every part, each for at most TIMEOUT_S seconds; nothing is left behind."""
    parts = {
        "LiveKit": _livekit,
        "Postgres": _postgres,
        "outbox": _outbox,
        "speech cache": _speech_cache,
        "persona": _persona,
        "recording": _recording,
    }
    findings = await asyncio.gather(
        *(_try(part, partial(look, settings), settings) for part, look in parts.items())
    )
    return [*findings, *await _models(settings)]


def table(findings: list[Finding]) -> str:
    """Return the findings as text for people."""
    width = max(len(finding.part) for finding in findings)
    lines = [
        "  ".join(
            ("ok   " if each.ok else "WRONG", f"{each.part:<{width}}", f"{each.seconds:5.1f} s")
        )
        + f"  {each.detail}"
        for each in findings
    ]
    wrong = sum(not each.ok for each in findings)
    lines.append(
        f"{wrong} of {len(findings)} checks failed"
        if wrong
        else f"all {len(findings)} checks passed"
    )
    return "\n".join(lines)


async def _try(part: str, attempt: Attempt, settings: Settings) -> Finding:
    began = time.monotonic()
    try:
        ok, detail = True, await asyncio.wait_for(attempt(), TIMEOUT_S)
    except TimeoutError:
        ok, detail = False, f"no answer in {TIMEOUT_S:.0f} s"
    except Exception as error:  # noqa: BLE001 - the table shows any error
        ok, detail = False, _one_line(error)
    return Finding(part, ok, without_secrets(detail, settings), time.monotonic() - began)


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, VoiceError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]


async def _livekit(settings: Settings) -> str:
    require_livekit(settings)
    rooms = await count_rooms(project_of(settings, []), timeout_s=TIMEOUT_S)
    return f"{settings.livekit_url}, {rooms} rooms now"


async def _postgres(settings: Settings) -> str:
    url = require_database(settings)
    try:
        await check_schema(url)
        holes = await holes_of(url)
    except Transient as error:
        raise VoiceError(f"no answer from the host of DATABASE_URL: {error}") from error
    if holes:
        raise VoiceError("; ".join(map(str, holes)) + ": see `python -m db migrate --help`")
    return "reachable, schema and rights are valid"


async def _outbox(settings: Settings) -> str:
    home = await asyncio.to_thread(OutboxHome, settings.agent_outbox_dir)
    free_mb = shutil.disk_usage(home.root).free // (1024 * 1024)
    if free_mb < settings.agent_outbox_min_free_mb:
        raise VoiceError(f"{home.root} has {free_mb} MB free: no calls would be taken")
    return f"{home.root} is writable, {free_mb} MB free"


async def _speech_cache(settings: Settings) -> str:
    directory = settings.agent_speech_cache_dir
    try:
        await asyncio.to_thread(SpeechCache(directory, "").check)
    except OSError as error:
        raise VoiceError(
            f"AGENT_SPEECH_CACHE_DIR={directory} cannot be written to ({error.strerror}):"
            " the worker's messages are spoken anew in each call"
        ) from error
    return f"{directory} is writable"


def _load_persona() -> Persona:
    return load_assistant()()


async def _persona(_: Settings) -> str:
    try:
        persona = await asyncio.to_thread(_load_persona)
    except Exception as error:
        raise VoiceError(f"agent/assistant.py can't be loaded: {describe(error)}") from error
    return f"{type(persona).__name__} loads, with {len(persona.tools)} tools"


async def _recording(_: Settings) -> str:
    lacking = livekit_names.missing((*livekit_names.NAMES, *NAMES))
    if lacking:
        raise VoiceError(f"livekit-agents {livekit_version} lacks {'; '.join(lacking)}")
    return f"livekit-agents {livekit_version} shows all that is recorded"


async def _models(settings: Settings) -> list[Finding]:
    try:
        require_models(settings)
        parts = await asyncio.to_thread(prepare, settings)
    except Exception as error:  # noqa: BLE001 - also a developer's error in agent/models/build.py
        detail = without_secrets(_one_line(error), settings)
        return [Finding("models", ok=False, detail=detail, seconds=0.0)]
    try:
        async with utils.http_context.open():
            checks = ModelChecks(settings, parts.models).all()
            return [await _try(part, attempt, settings) for part, attempt in checks]
    finally:
        await parts.aclose()


def run(settings: Settings) -> int:
    """Check, print the table, and return the exit code: 0 if every check passed, else 1."""
    # Only the table is printed: without a handler, Python would print warnings of libraries, which
    # may quote a server.
    logging.getLogger().addHandler(logging.NullHandler())
    findings = asyncio.run(check(settings))
    print(table(findings))  # noqa: T201 - a command for people
    return 0 if all(finding.ok for finding in findings) else 1
