"""Renders the status for people."""

from collections.abc import Iterable

from callrecord.operator.rendering.table import table
from callrecord.operator.rendering.values import length
from callrecord.operator.worker_status import Status, Worker
from callrecord.outbox.status import DirectoryStatus


def status_page(status: Status, *, width: int) -> list[str]:
    """Return the workers, the calls without an end, and what needs attention."""
    counts = [f"schema {status.schema_version}", f"{status.refused_events} refused events"]
    lines = [", ".join(counts), ""]
    lines += _workers(status.workers, width=width) if status.workers else ["no workers"]
    lines.append("")
    if status.open_calls:
        names = ("calls without an end", "status", "held by", "oldest")
        rows = [
            (str(each.calls), each.status, each.of, length(int(each.oldest_s)))
            for each in status.open_calls
        ]
        lines += table(names, rows, width=width)
    else:
        lines.append("no calls without an end")
    verdict = [f"attention: {line}" for line in status.troubles()] or ["all well"]
    return [*lines, "", *verdict]


def outbox_page(found: Iterable[DirectoryStatus], *, width: int) -> list[str]:
    """Return the contents of an outbox."""
    names = ("directory", "files", "quiet", "events", "bytes", "oldest", "accepted", "refused")
    rows = [
        (
            each.directory,
            str(each.files),
            str(each.quiet),
            str(each.events),
            str(each.bytes),
            length(int(each.oldest_s)),
            str(each.accepted),
            str(each.refused),
        )
        for each in found
    ]
    return table(names, rows, width=width) if rows else ["nothing waits in this outbox"]


def _workers(workers: Iterable[Worker], *, width: int) -> list[str]:
    names = ("worker", "host", "kind", "state", "heartbeat", "calls", "backlog", "behind")
    rows = [
        (
            each.id,
            each.hostname,
            each.kind,
            each.state,
            f"{each.heartbeat_age_s:.0f} s",
            str(each.open_calls),
            str(each.backlog_events),
            f"{each.backlog_seconds:.0f} s",
        )
        for each in workers
    ]
    return table(names, rows, width=width)
