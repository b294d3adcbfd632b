"""`python -m agent check`: try the whole set-up without taking a call, and say what is wrong."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from livekit import rtc
from livekit.agents import APIError, llm, stt, tts, utils

from agent.livekit_project import count_rooms, project_of
from agent.pipeline import build_session, prepare
from agent.settings import Settings, require_database, require_livekit, require_models
from callrecord.db.errors import VoiceError
from callrecord.db.outbox_home import OutboxHome
from callrecord.db.store import check_schema

TIMEOUT_S = 20.0
_SENTENCE = "Hello, can you hear me?"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        part: What was tried.
        ok: Whether it does.
        detail: What was seen, or what to change.
        seconds: How long it took.
    """

    part: str
    ok: bool
    detail: str
    seconds: float


async def check(settings: Settings) -> list[Finding]:
    """Try every part, each for at most TIMEOUT_S seconds; nothing is left behind."""
    findings = await asyncio.gather(
        _try("LiveKit", lambda: _livekit(settings)),
        _try("Postgres", lambda: _postgres(settings)),
        _try("outbox", lambda: _outbox(settings)),
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
    lines.append("all parts do" if not wrong else f"{wrong} of {len(findings)} parts do not")
    return "\n".join(lines)


async def _try(part: str, attempt: Callable[[], Awaitable[str]]) -> Finding:
    began = time.monotonic()
    try:
        ok, detail = True, await asyncio.wait_for(attempt(), TIMEOUT_S)
    except TimeoutError:
        ok, detail = False, f"no answer in {TIMEOUT_S:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what the table is for
        ok, detail = False, _one_line(error)
    return Finding(part, ok, detail, time.monotonic() - began)


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, VoiceError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:300]


async def _livekit(settings: Settings) -> str:
    require_livekit(settings)
    rooms = await count_rooms(project_of(settings, []), timeout_s=TIMEOUT_S)
    return f"{settings.livekit_url}, {rooms} rooms now"


async def _postgres(settings: Settings) -> str:
    await check_schema(require_database(settings))
    return "reachable, schema and rights do"


async def _outbox(settings: Settings) -> str:
    home = await asyncio.to_thread(OutboxHome, settings.agent_outbox_dir)
    free_mb = shutil.disk_usage(home.root).free // (1024 * 1024)
    if free_mb < settings.agent_outbox_min_free_mb:
        raise VoiceError(f"{home.root} has {free_mb} MB free: no calls would be taken")
    return f"{home.root} is writable, {free_mb} MB free"


async def _models(settings: Settings) -> list[Finding]:
    try:
        require_models(settings)
    except VoiceError as error:
        return [Finding("models", ok=False, detail=str(error), seconds=0.0)]
    parts = await asyncio.to_thread(prepare, settings)
    session = build_session(settings, parts)
    spoken: list[rtc.AudioFrame] = []
    found = [
        await _try("language model", lambda: _llm(session.llm)),
        await _try("text to speech", lambda: _tts(session.tts, spoken)),
        await _try("speech to text", lambda: _stt(session.stt, spoken)),
    ]
    await parts.aclose()
    return found


async def _llm(model: object) -> str:
    if not isinstance(model, llm.LLM):
        return "none is used"
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Say hello.")
    words = ""
    async with model.chat(chat_ctx=context) as stream:
        async for chunk in stream:
            words += chunk.delta.content or "" if chunk.delta else ""
    if not words.strip():
        raise APIError(f"{model.model} answered with nothing")
    return f"{model.model} answers"


async def _tts(model: object, spoken: list[rtc.AudioFrame]) -> str:
    if not isinstance(model, tts.TTS):
        return "none is used"
    async with model.synthesize(_SENTENCE) as stream:
        spoken.extend([part.frame async for part in stream])
    seconds = sum(frame.duration for frame in spoken)
    if not seconds:
        raise APIError(f"{model.model} gave no audio")
    return f"{model.model} spoke for {seconds:.1f} s"


async def _stt(model: object, spoken: list[rtc.AudioFrame]) -> str:
    if not isinstance(model, stt.STT):
        return "none is used"
    if not spoken:
        raise APIError("not tried: there was no speech to try it with")
    heard = await model.recognize(utils.combine_frames(spoken))
    text = heard.alternatives[0].text if heard.alternatives else ""
    if not text.strip():
        raise APIError(f"{model.model} heard nothing in clear speech")
    return f"{model.model} heard “{text.strip()}”"


def run(settings: Settings) -> int:
    """Check, print the table, and return the exit code: 0 if every part does, else 1."""
    findings = asyncio.run(check(settings))
    print(table(findings))  # noqa: T201 - a command for people
    return 0 if all(finding.ok for finding in findings) else 1
