"""Bringing what was read into the store: what to do about each kind of refusal."""

import time
from dataclasses import dataclass

from callrecord.db.batch import CallBatch
from callrecord.db.errors import Hold, Locked, Refused
from callrecord.db.events import Unhandled
from callrecord.db.log_fields import log_fields
from callrecord.db.privacy import private_logger
from callrecord.db.store import Store
from callrecord.db.tail import Damage, Entry
from callrecord.db.tails import Shipment

logger = private_logger("voice.shipper")

HOLD_S = 10.0
"""Pause of a call whose rows are locked or do not fit the schema: somebody has to act."""


@dataclass(slots=True)
class Stats:
    """Counters of a shipper since its start, and how many files are not shipped to their end."""

    events: int = 0
    batches: int = 0
    refused: int = 0
    discarded: int = 0
    failures: int = 0
    held_calls: int = 0
    backlog_files: int = 0


class Delivery:
    """Delivers shipments; what is stored, refused or discarded is taken off their pending list."""

    def __init__(self, dsn: str, stats: Stats) -> None:
        self._store = Store(dsn)
        self._stats = stats

    async def deliver(self, shipments: list[Shipment]) -> None:
        """Deliver all that is pending, in one batch if the database takes it.

        Raises:
            Transient: Nothing is lost, and the same can be tried again.
        """
        calls = [(each, _batch(each)) for each in shipments]
        try:
            await self._apply([part for part in calls if part[1].entries])
        except (Refused, Hold, Locked):
            # One call must not keep the others: each alone, and then its parts.
            for each, call in calls:
                await self._deliver_alone(each, call)
            return
        for each, call in calls:
            await self._settle_or_hold(each, call)

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()

    async def _deliver_alone(self, each: Shipment, call: CallBatch) -> None:
        try:
            await self._apply_parts(each, call)
        except (Hold, Locked, Refused) as error:
            self._hold(each, error)
        else:
            await self._settle_or_hold(each, call)

    async def _settle_or_hold(self, each: Shipment, call: CallBatch) -> None:
        try:
            await self._settle(each, call)
        except (Hold, Locked, Refused) as error:
            self._hold(each, error)

    def _hold(self, each: Shipment, error: Hold | Locked | Refused) -> None:
        # Even what is to be kept aside was not taken: it stays in the outbox.
        each.held_until = time.monotonic() + HOLD_S
        self._stats.held_calls += 1
        logger.error(
            "call held back, the database does not take it",
            # A refused row's text quotes the row, and so what people said.
            extra={
                **log_fields(each.header),
                "error": error.sqlstate if isinstance(error, Refused) else str(error),
            },
        )

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

    async def _settle(self, each: Shipment, call: CallBatch) -> None:
        for item in each.pending:
            if each.deleted:  # what its owner deleted is not kept aside either
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
            each.deleted = applied.call_ids.get(call.header.key) is None

    async def _keep_aside(
        self, each: Shipment, item: Entry | Damage, error: str, sqlstate: str
    ) -> None:
        header = each.header
        await self._store.refuse(
            source=each.tail.path.name,
            offset=item.offset,
            raw=item.raw,
            error=error,
            sqlstate=sqlstate,
            job_id=header.job_id,
            key=header.key,
        )
        self._stats.refused += 1
        # Not the error's text: it may quote the row, and so what people said.
        reason = item.reason if isinstance(item, Damage) else item.event.__class__.__name__
        logger.error(
            "event refused and kept aside",
            extra={
                **log_fields(header),
                "offset": item.offset,
                "reason": reason,
                "sqlstate": sqlstate,
            },
        )


def _batch(each: Shipment) -> CallBatch:
    return CallBatch(each.header, [item for item in each.pending if isinstance(item, Entry)])
