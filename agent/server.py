"""The worker: the recording server of `callrecord` with our settings and our calls."""

import math
from functools import partial

from livekit.agents import JobRequest
from livekit.agents.worker import ServerEnvOption

from agent import logs
from agent.job import JobConfig, entrypoint, on_session_end, prewarm
from agent.settings import Settings, require_database
from agent.speech.rendering import Rendering
from callrecord.recording.record import Place
from callrecord.recording.server import RecordingServer, Setup
from callrecord.shipping.heartbeat import Rhythm
from callrecord.shipping.settings import ShipSettings


def _port(settings: Settings) -> int | ServerEnvOption[int]:
    # Under `dev` any free port, as in LiveKit: two developers' workers can start on one host.
    given = settings.agent_http_port
    if "agent_http_port" in settings.model_fields_set:
        return given
    return ServerEnvOption(dev_default=0, prod_default=given)


class VoiceServer(RecordingServer):
    """Takes calls as the settings say."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            max_calls=settings.agent_max_calls,
            ws_url=settings.livekit_url or None,
            api_key=settings.livekit_api_key or None,
            api_secret=settings.livekit_api_secret.get_secret_value() or None,
            drain_timeout=settings.agent_drain_timeout_s,
            port=_port(settings),
            # The load is measured in calls, not in CPU: a burst at the start of a call would mark
            # the worker as full, and LiveKit's server does not retry a call that found no worker.
            # We keep the limit ourselves, by max_calls: LiveKit only guesses the load of calls that
            # are starting, and an idle worker with two cores would refuse the third of three.
            load_fnc=lambda server: len(server.active_jobs) / settings.agent_max_calls,
            load_threshold=math.inf,
        )
        self._settings = settings
        self._reload = False
        self.rtc_session(
            entrypoint,
            agent_name=settings.agent_name,
            on_request=self._take,
            on_session_end=on_session_end,
        )

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Take calls until closed."""
        chosen = self._settings.agent_log_format
        logs.take_over(as_json=chosen == "json" or (chosen == "auto" and not devmode))
        self._reload = devmode
        rendering = Rendering(self._settings)
        rendering.start()
        try:
            await super().run(devmode=devmode, unregistered=unregistered)
        finally:
            await rendering.stop()

    async def _take(self, request: JobRequest) -> None:
        # By default the agent has no name in LiveKit, and people see its identity.
        await request.accept(name=self._settings.agent_name or "agent")

    def ship_settings(self) -> ShipSettings:
        """Return our settings for shipping.

        Raises:
            Stop: There is no database.
        """
        return ShipSettings(
            dsn=require_database(self._settings),
            outbox_dir=self._settings.agent_outbox_dir,
            min_free_mb=self._settings.agent_outbox_min_free_mb,
            ship_timeout_s=self._settings.agent_ship_timeout_s,
            rhythm=Rhythm(
                every_s=self._settings.agent_heartbeat_s,
                lost_after_s=self._settings.agent_worker_lost_s,
                not_served_min=self._settings.agent_not_served_min,
            ),
        )

    def job_setup(self, place: Place, setup: Setup | None) -> Setup:  # noqa: ARG002 - none of ours
        """Return the setup of our jobs' processes."""
        config = JobConfig(self._settings, reload=self._reload)
        return super().job_setup(place, partial(prewarm, config))
