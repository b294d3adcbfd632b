"""The worker: LiveKit's AgentServer with the shipper in its life cycle."""

import asyncio
import contextlib
import math
from functools import partial

import structlog
from livekit.agents import AgentServer, AssignmentTimeoutError, JobRequest

from agent import logs
from agent.call import JobConfig, entrypoint, on_session_end, prewarm
from agent.settings import Settings, require_database
from callrecord.db.disk import DiskReserve
from callrecord.db.orphans import settle
from callrecord.db.outbox_home import OutboxHome, WorkerDirectory
from callrecord.db.shipper import Shipper
from callrecord.recording.header import call_header

logger = structlog.get_logger("voice.worker")

SETTLE_EVERY_S = 1.0


class VoiceServer(AgentServer):
    """Takes calls, and ships what they record for as long as it runs.

    Attributes:
        failed: Whether `run` ended with an error, which LiveKit's command line only logs.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            ws_url=settings.livekit_url or None,
            api_key=settings.livekit_api_key or None,
            api_secret=settings.livekit_api_secret.get_secret_value() or None,
            drain_timeout=settings.agent_drain_timeout_s,
            port=settings.agent_http_port,
            # By calls, not by CPU: a burst at a call's start would mark the worker full, and
            # LiveKit's server does not ask again for a call that found no worker. The limit is
            # ours to keep, in _on_request: LiveKit guesses the load of calls that are just being
            # taken, and an idle worker of two cores refuses the third of three at once.
            load_fnc=lambda server: len(server.active_jobs) / settings.agent_max_calls,
            load_threshold=math.inf,
        )
        self.failed = False
        self._settings = settings
        self._directory: WorkerDirectory | None = None
        self._shipper: Shipper | None = None
        self._reserve: DiskReserve | None = None
        self._starting: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._notes = asyncio.Lock()
        self._stopping = asyncio.Lock()
        self.rtc_session(
            entrypoint,
            agent_name=settings.agent_name,
            on_request=self._on_request,
            on_session_end=on_session_end,
        )

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Start the shipper, then take calls until closed."""
        chosen = self._settings.agent_log_format
        logs.take_over(as_json=chosen == "json" or (chosen == "auto" and not devmode))
        try:
            self._start_shipping()
            await super().run(devmode=devmode, unregistered=unregistered)
        except Exception:
            self.failed = True
            raise
        # Here too: the console ends its loop when this returns, and does not wait for aclose.
        await self._stop_shipping()

    async def aclose(self) -> None:
        """Stop taking calls, then ship what is left and stop the shipper."""
        try:
            await super().aclose()
        finally:
            await self._stop_shipping()

    def _start_shipping(self) -> None:
        home = OutboxHome(self._settings.agent_outbox_dir)
        self._directory = home.take()
        path = self._directory.path
        low = self._settings.agent_outbox_min_free_mb * 1024 * 1024
        self._reserve = DiskReserve(path, low_bytes=low)
        dsn = require_database(self._settings)
        self._shipper = Shipper(home, self._directory, dsn, reserve=self._reserve)
        config = JobConfig(self._settings, path.resolve(), self._directory.worker_id)
        self.setup_fnc = partial(prewarm, config)
        logger.info("outbox taken", directory=str(path), files=len(self._directory.files()))
        try:
            settle(self._directory, alive=set())
        except OSError:  # a full disk: shipping is what frees it
            logger.exception("dead jobs not settled, will try again")
        self._shipper.start()
        self._closing.clear()
        self._settling = asyncio.create_task(self._settle_forever())

    async def _stop_shipping(self) -> None:
        async with self._stopping:
            await self._stop_shipping_once()

    async def _stop_shipping_once(self) -> None:
        settling, self._settling = self._settling, None
        if settling is not None:
            self._closing.set()
            await settling
        shipper, self._shipper = self._shipper, None
        if shipper is not None:
            done = await asyncio.to_thread(shipper.stop, self._settings.agent_ship_timeout_s)
            stats = shipper.stats
            logger.info(
                "shipper stopped",
                all_shipped=done,
                events=stats.events,
                refused=stats.refused,
                files_left=stats.backlog_files,
            )
        self._give_back()

    def _give_back(self) -> None:
        if self._reserve is not None:
            self._reserve.remove()
            self._reserve = None
        if self._directory is not None:
            self._directory.release()
            self._directory = None

    async def _on_request(self, request: JobRequest) -> None:
        """Accept a job, with a note on disk that outlives a job process that dies at once."""
        directory, reserve = self._directory, self._reserve
        if directory is None or reserve is None or await asyncio.to_thread(reserve.nearly_full):
            logger.error("call refused, the outbox's disk is nearly full", job_id=request.id)
            await request.reject(terminate=False)
            return
        # A job that is just being launched is in both.
        taken = self._starting | {info.job.id for info in self.active_jobs}
        if len(taken) >= self._settings.agent_max_calls:
            logger.warning("call refused, all places are taken", job_id=request.id)
            await request.reject(terminate=False)
            return
        self._starting.add(request.id)
        try:
            await self._accept(request, directory)
        finally:
            self._starting.discard(request.id)

    async def _accept(self, request: JobRequest, directory: WorkerDirectory) -> None:
        header = call_header(request.job, directory.worker_id, f"agent-{request.id}")
        async with self._notes:
            note = await asyncio.to_thread(directory.note_accepted, header)
        try:
            await request.accept(identity=header.agent_identity)
        except (AssignmentTimeoutError, asyncio.CancelledError):
            # LiveKit gave the job to somebody else, or took it back: the call is not ours.
            directory.forget_accepted(note)
            raise

    async def _settle_forever(self) -> None:
        closing = False
        while not closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), SETTLE_EVERY_S)
            closing = self._closing.is_set()
            # No note may be written meanwhile: its job would not be among the living.
            async with self._notes:
                running = set() if closing else {info.job.id for info in self.active_jobs}
                await self._settle(alive=self._starting | running)

    async def _settle(self, alive: set[str]) -> None:
        if self._directory is None:
            return
        try:
            await asyncio.to_thread(settle, self._directory, alive=alive)
        except OSError:
            logger.exception("dead jobs not settled, will try again")
