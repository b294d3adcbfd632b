"""LiveKit's AgentServer with a shipper: a drop-in replacement that changes one class name."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentServer, JobProcess, JobRequest

from callrecord.errors import Stop
from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.outbox.disk_reserve import DiskReserve
from callrecord.outbox.job_notes import settle
from callrecord.outbox.locks import require_locks
from callrecord.postgres.store import check_schema_if_there
from callrecord.privacy import private_logger
from callrecord.recording.instrumentation.livekit_names import log_missing
from callrecord.recording.instrumentation.lookups import agent_name
from callrecord.recording.job_notes import NotedRequest, at_session_end
from callrecord.recording.job_sockets import check_temporary_directory
from callrecord.recording.livekit_rooms import Rooms
from callrecord.recording.record import PLACE, Place
from callrecord.recording.settings import RecordSettings
from callrecord.shipping.heartbeat import Heartbeat, Identity
from callrecord.shipping.settings import ShipSettings
from callrecord.shipping.shipper import Shipper

logger = private_logger("voice.worker")

SETTLE_EVERY_S = 1.0

Setup = Callable[[JobProcess], Any]


class RecordingServer(AgentServer):
    """Takes calls, and ships what they record for as long as it runs.

    It takes AgentServer's options. `callrecord.record` records its jobs. A job that dies before it
    calls that still leaves a call that ended as `worker_crashed`; a job that ends normally without
    that call leaves none.

    Attributes:
        failed: Whether `run` ended with an error, which LiveKit's command line only logs.
    """

    def __init__(self, *, max_calls: int | None = None, **options: Any) -> None:
        """Make a server, as AgentServer does with the same options.

        Args:
            max_calls: The most calls at once; without it, only LiveKit's load limit applies.
            options: LiveKit's options.
        """
        super().__init__(**options)
        self.failed = False
        self._records = False
        self._options = options
        self._max_calls = max_calls
        self._ship_timeout_s = 0.0
        self._directory: WorkerDirectory | None = None
        self._shipper: Shipper | None = None
        self._reserve: DiskReserve | None = None
        self._starting: set[str] = set()
        self._settling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._notes = asyncio.Lock()
        self._stopping = asyncio.Lock()

    async def run(self, *, devmode: bool = False, unregistered: bool = False) -> None:
        """Start the shipper, then take calls until closed.

        Raises:
            SystemExit: With code 2: a setting or the schema is not valid. For another exception,
                LiveKit's command line would log a traceback and drain a worker that never ran.
        """
        try:
            require_locks()
        except Stop as error:  # the agent itself works there, which helps in development
            logger.warning("calls are not recorded", extra={"error": str(error)})
            await super().run(devmode=devmode, unregistered=unregistered)
            return
        setup = self.setup_fnc
        log_missing()
        try:
            check_temporary_directory(self._options)
            settings = self.ship_settings()
            await check_schema_if_there(settings.dsn)
            place = self._start_shipping(settings, registered=not unregistered)
            self.setup_fnc = self.job_setup(place, setup)
            self._records = True
            await super().run(devmode=devmode, unregistered=unregistered)
        except Stop as error:
            self.failed = True
            logger.error("worker not started", extra={"error": str(error)})  # noqa: TRY400
            _let_exit_pass(asyncio.get_running_loop())
            raise SystemExit(2) from error
        except Exception:
            self.failed = True
            raise
        finally:
            self.setup_fnc, self._records = setup, False
        # The console ends its loop when this returns, and does not wait for aclose.
        await self._stop_shipping()

    if not TYPE_CHECKING:  # type checkers see LiveKit's signature

        def rtc_session(self, func: Any = None, **options: Any) -> Any:
            """Register the entrypoint, as AgentServer does with the same options."""
            options["on_request"] = partial(self._on_request, options.get("on_request"))
            options["on_session_end"] = partial(at_session_end, options.get("on_session_end"))
            return super().rtc_session(func, **options)

    async def aclose(self) -> None:
        """Stop taking calls, then ship what is left and stop the shipper."""
        try:
            await super().aclose()
        finally:
            await self._stop_shipping()

    def ship_settings(self) -> ShipSettings:
        """Return the environment's settings for shipping: DATABASE_URL, AGENT_OUTBOX_DIR...

        Raises:
            Stop: A setting is missing or not valid; one line says which.
        """
        RecordSettings.of(os.environ)  # its calls need them: what is wrong shows now
        return ShipSettings.of(os.environ)

    def job_setup(self, place: Place, setup: Setup | None) -> Setup:
        """Return a setup that tells a job's process where to write, then runs the given setup."""
        return partial(_setup, place, setup)

    def _start_shipping(self, settings: ShipSettings, *, registered: bool) -> Place:
        self._ship_timeout_s = settings.ship_timeout_s
        home = OutboxHome(settings.outbox_dir)
        self._directory = home.take()
        path = self._directory.path
        self._reserve = DiskReserve(path, low_bytes=settings.min_free_mb * 1024 * 1024)
        worker_id = self._directory.worker_id
        heartbeat = Heartbeat(
            settings.dsn,
            Identity(worker_id, agent_name=partial(agent_name, self), livekit_id=lambda: self.id),
            settings.rhythm,
            rooms=Rooms() if registered else None,
        )
        self._shipper = Shipper(
            home, self._directory, settings.dsn, reserve=self._reserve, heartbeat=heartbeat
        )
        left = len(self._directory.files())
        logger.info("outbox taken", extra={"directory": str(path), "files": left})
        try:
            settle(self._directory, alive=set())
        except OSError:  # perhaps a full disk: start anyway, as shipping frees it
            logger.exception("dead jobs not settled, will try again")
        self._shipper.start()
        self._closing.clear()
        self._settling = asyncio.create_task(self._settle_forever())
        return Place(path.resolve(), worker_id)

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
            await asyncio.to_thread(shipper.stop, self._ship_timeout_s)
        self._give_back()

    def _give_back(self) -> None:
        if self._reserve is not None:
            self._reserve.remove()
            self._reserve = None
        if self._directory is not None:
            self._directory.release()
            self._directory = None

    async def _on_request(
        self, theirs: Callable[[JobRequest], Any] | None, request: JobRequest
    ) -> None:
        """Refuse a job that can't be served; otherwise let the agent's own code decide."""
        if not self._records:
            await (request.accept() if theirs is None else theirs(request))
            return
        directory, reserve = self._directory, self._reserve
        if directory is None or reserve is None or await asyncio.to_thread(reserve.nearly_full):
            text = "call refused, the outbox's disk is nearly full"
            logger.error(text, extra={"job_id": request.id})
            await request.reject(terminate=False)
            return
        # A job that is being launched is in both sets.
        taken = self._starting | {info.job.id for info in self.active_jobs}
        if self._max_calls is not None and len(taken) >= self._max_calls:
            logger.warning("call refused, all places are taken", extra={"job_id": request.id})
            await request.reject(terminate=False)
            return
        self._starting.add(request.id)
        noted = NotedRequest(request, directory, self._notes)
        try:
            await (noted.accept() if theirs is None else theirs(noted))
        finally:
            self._starting.discard(request.id)

    async def _settle_forever(self) -> None:
        closing = False
        while not closing:
            with contextlib.suppress(TimeoutError):  # the time to look again
                await asyncio.wait_for(self._closing.wait(), SETTLE_EVERY_S)
            closing = self._closing.is_set()
            # No note may be written meanwhile: its job would not be in `alive`.
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


def _setup(place: Place, theirs: Setup | None, proc: JobProcess) -> None:
    proc.userdata[PLACE] = place
    if theirs is not None:
        theirs(proc)


def _let_exit_pass(loop: asyncio.AbstractEventLoop) -> None:
    """Keep the loop from reporting a SystemExit as an unretrieved exception."""
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), SystemExit):
            return
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)
