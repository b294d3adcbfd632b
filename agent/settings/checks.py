"""Finds settings that are valid one by one but contradict each other."""

from collections.abc import Iterator

from agent.settings.all import Settings
from callrecord.shipping.settings import rhythm_problem

LIVEKITS_SHORTEST_MAX_DELAY_S = 2.5
"""LiveKit's default max_delay with its end-of-turn model, the shorter of its two defaults."""

LIVEKITS_LONGEST_MIN_DELAY_S = 0.5
"""LiveKit's default min_delay without its end-of-turn model, the longer of its two defaults."""


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a line for each contradiction; it starts with the setting to change."""
    yield from _azure(settings)
    yield from _own_servers(settings)
    yield from _second_provider(settings)
    yield from _turns(settings)
    problem = rhythm_problem(settings.agent_heartbeat_s, settings.agent_worker_lost_s)
    if problem:
        yield problem


def _azure(settings: Settings) -> Iterator[str]:
    endpoint, key = settings.azure_openai_endpoint, settings.azure_openai_api_key.get_secret_value()
    if endpoint and not key:
        yield "AZURE_OPENAI_API_KEY: is not set, but AZURE_OPENAI_ENDPOINT is"
    if key and not endpoint:
        yield "AZURE_OPENAI_ENDPOINT: is not set, but AZURE_OPENAI_API_KEY is"


def _own_servers(settings: Settings) -> Iterator[str]:
    for kind in ("stt", "llm", "tts", "realtime"):
        own_url = getattr(settings, f"agent_{kind}_base_url")
        own_key = getattr(settings, f"agent_{kind}_api_key").get_secret_value()
        if own_url and not own_key:
            name = kind.upper()
            yield (
                f"AGENT_{name}_API_KEY: is not set; the server of AGENT_{name}_BASE_URL is given"
                " no other key (a server without keys takes any word for one)"
            )


def _second_provider(settings: Settings) -> Iterator[str]:
    url = settings.agent_fallback_base_url
    key = settings.agent_fallback_api_key.get_secret_value()
    models = [
        name
        for name in (f"agent_fallback_{kind}_model" for kind in ("stt", "llm", "tts"))
        if getattr(settings, name)
    ]
    if models and not url:
        yield f"AGENT_FALLBACK_BASE_URL: is not set, but {models[0].upper()} is"
    if (models or url) and not key:
        yield "AGENT_FALLBACK_API_KEY: is not set; a server without keys takes any word for one"
    if (url or key) and not models:
        yield "AGENT_FALLBACK_LLM_MODEL: is not set, nor is any other model of the second provider"


def _turns(settings: Settings) -> Iterator[str]:
    realtime = bool(settings.agent_realtime_model)
    chosen = settings.agent_turn_detection
    if realtime and chosen == "stt":
        yield "AGENT_TURN_DETECTION: cannot be stt with a realtime model"
    if chosen == "realtime_llm" and not realtime:
        yield "AGENT_TURN_DETECTION: realtime_llm needs AGENT_REALTIME_MODEL"
    if realtime and chosen in (None, "realtime_llm") and not settings.agent_interruption_enabled:
        yield (
            "AGENT_INTERRUPTION_ENABLED: cannot be false while a realtime model ends the turns"
            " itself: set AGENT_TURN_DETECTION to vad or model"
        )
    if settings.agent_preemptive_tts and not settings.agent_preemptive_generation:
        yield "AGENT_PREEMPTIVE_TTS: needs AGENT_PREEMPTIVE_GENERATION"
    shortest, longest = settings.agent_endpointing_min_delay, settings.agent_endpointing_max_delay
    if shortest is not None and shortest > (
        LIVEKITS_SHORTEST_MAX_DELAY_S if longest is None else longest
    ):
        yield "AGENT_ENDPOINTING_MIN_DELAY: is longer than AGENT_ENDPOINTING_MAX_DELAY"
    if longest is not None and shortest is None and longest < LIVEKITS_LONGEST_MIN_DELAY_S:
        yield "AGENT_ENDPOINTING_MAX_DELAY: is shorter than LiveKit's own least delay: set both"
