"""Delivers events to the store, and handles each kind of rejection."""

import time
from dataclasses import dataclass

from callrecord.errors import Hold, Locked, Refused, Transient, VoiceError
from callrecord.events import Unhandled, log_fields, now
from callrecord.outbox.reader import Damage, Entry
from callrecord.outbox.refused_files import RefusedEvent, keep_in_file
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store
from callrecord.privacy import private_logger
from callrecord.shipping.call_file import Shipment

logger = private_logger("voice.shipper")

HOLD_S = 10.0
"""First pause of a call that the database rejects; doubled with each further rejection."""

HOLD_MAX_S = 60.0
"""Longest such pause; a repaired schema is noticed after this time at the latest."""

ISOLATE_AFTER = 3
"""Consecutive failures of a batch after which each of its calls is tried alone."""

OUTAGE_AFTER = 4
"""Calls that fail alone, with none succeeding, before it counts as an outage."""

_CANT_KEEP = ("42501", "53200")
"""SQLSTATEs: no right to store a refused event, or no memory. 22, 23 and 54 are `Refused`."""


@dataclass(slots=True)
class Stats:
    """Counters of a shipper since its start, and how many files are not fully shipped."""

    events: int = 0
    batches: int = 0
    refused: int = 0
    discarded: int = 0
    failures: int = 0
    held_calls: int = 0
    backlog_files: int = 0


class Delivery:
    """Delivers shipments; removes stored, refused and discarded events from their pending list."""

    def __init__(self, dsn: str, stats: Stats, *, refused_files: bool = True) -> None:
        """`refused_files`: write events to a file if Postgres can't even keep them aside."""
        self._store = Store(dsn)
        self._stats = stats
        self._refused_files = refused_files
        self._failures = 0

    async def deliver(self, shipments: list[Shipment]) -> None:
        """Deliver all pending events, in one batch if the database accepts it.

        A call that was rejected while others were accepted is tried alone until it is accepted.

        Raises:
            Transient: Nothing is lost; call it again with the same shipments.
        """
        ready = [each for each in shipments if not each.strikes]
        try:
            await self._deliver_together(ready)
        except Transient:
            self._failures += 1
            if self._failures < ISOLATE_AFTER:
                raise
            await self._isolate(ready)
        self._failures = 0
        for each in shipments:
            if each.strikes:
                await self._deliver_suspect(each)

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()

    async def _deliver_together(self, shipments: list[Shipment]) -> None:
        calls = [(each, _batch(each)) for each in shipments]
        try:
            await self._apply([part for part in calls if part[1].entries])
        except (Refused, Hold, Locked):
            # One call must not block the others: try each alone, then its parts.
            for each in shipments:
                await self._deliver_alone(each)
            return
        for each, call in calls:
            await self._finish_or_hold(each, call)

    async def _isolate(self, shipments: list[Shipment]) -> None:
        """Find the calls that always fail, for instance by a time limit or a server bug.

        Raises:
            Transient: Every call that was tried failed, so it is an outage.
        """
        failed: list[tuple[Shipment, Transient]] = []
        for tried, each in enumerate(shipments, start=1):
            try:
                await self._deliver_alone(each)
            except Transient as error:
                await self._store.ping()
                failed.append((each, error))
                if len(failed) == tried and tried in (OUTAGE_AFTER, len(shipments)):
                    raise
        for each, why in failed:
            self._hold(each, why)

    async def _deliver_suspect(self, each: Shipment) -> None:
        try:
            await self._deliver_alone(each)
        except Transient as error:
            await self._store.ping()
            self._hold(each, error)

    async def _deliver_alone(self, each: Shipment) -> None:
        call = _batch(each)
        try:
            await self._apply_parts(each, call)
            await self._finish(each, call)
        except (Hold, Locked, Refused) as error:
            self._hold(each, error)
        else:
            each.strikes = 0

    async def _finish_or_hold(self, each: Shipment, call: CallBatch) -> None:
        try:
            await self._finish(each, call)
        except (Hold, Locked, Refused) as error:
            self._hold(each, error)

    def _hold(self, each: Shipment, error: VoiceError) -> None:
        # All of its events stay in the outbox, even those that could not be kept aside.
        pause = min(HOLD_S * 2**each.strikes, HOLD_MAX_S)
        each.strikes = min(each.strikes + 1, 16)
        each.held_until = time.monotonic() + pause
        # The text of `Refused` quotes the row, and so what people said.
        each.why = error.sqlstate if isinstance(error, Refused) else str(error)
        self._stats.held_calls += 1
        extra = {**log_fields(each.header), "error": each.why, "again_in_s": pause}
        logger.error("call held back, the database rejects it", extra=extra)

    async def _apply_parts(self, each: Shipment, call: CallBatch) -> None:
        if not call.entries:
            return
        try:
            await self._apply([(each, call)])
        except Refused as error:
            if len(call.entries) > 1:
                for half in call.halves():
                    await self._apply_parts(each, half)
                return
            await self._keep_aside(each, call.entries[0], str(error), error.sqlstate)

    async def _finish(self, each: Shipment, call: CallBatch) -> None:
        """Keep damaged and unhandled entries aside, and clear the pending list."""
        for item in each.pending:
            if each.deleted:  # nothing of a deleted call is kept
                self._stats.discarded += isinstance(item, Damage)
            elif isinstance(item, Damage):
                await self._keep_aside(each, item, item.reason, "")
            elif isinstance(item.event, Unhandled):
                await self._keep_aside(each, item, item.event.error, "")
        self._stats.events += len(call.entries)
        each.pending.clear()

    async def _apply(self, calls: list[tuple[Shipment, CallBatch]]) -> None:
        if not calls:
            return
        applied = await self._store.apply([call for _, call in calls])
        self._stats.batches += 1
        self._stats.discarded += applied.discarded
        for each, call in calls:
            each.call_id = applied.call_ids.get(call.header.key)
            each.deleted = each.call_id is None

    async def _keep_aside(
        self, each: Shipment, item: Entry | Damage, error: str, sqlstate: str
    ) -> None:
        header = each.header
        event = RefusedEvent(
            source=each.tail.path.name,
            byte_offset=item.offset,
            raw=item.raw,
            error=error,
            sqlstate=sqlstate,
            job_id=header.job_id,
            call_key=header.key,
            call_id=each.call_id,
            header=header,
            refused_at=now(),
        )
        where = await self._keep(each, event)
        self._stats.refused += 1
        # The log omits the error's text: it may quote the row, and so what people said.
        reason = item.reason if isinstance(item, Damage) else item.event.__class__.__name__
        logger.error(
            "event refused and kept aside",
            extra={
                **log_fields(header),
                "offset": item.offset,
                "reason": reason,
                "sqlstate": sqlstate,
                "where": where,
            },
        )

    async def _keep(self, each: Shipment, event: RefusedEvent) -> str:
        try:
            await self._store.refuse(event)
        except VoiceError as error:
            cant_keep = isinstance(error, Refused) or error.sqlstate in _CANT_KEEP
            if not (cant_keep and self._refused_files):
                raise
        else:
            return "table"
        try:
            return str(keep_in_file(each.tail.path.parent, event))
        except OSError as error:
            raise Hold(f"a refused event's file can't be written: {error}") from error


def _batch(each: Shipment) -> CallBatch:
    return CallBatch(each.header, [item for item in each.pending if isinstance(item, Entry)])
