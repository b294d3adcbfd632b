"""Renders a call's usage, summed over the requests of each kind and model."""

from collections.abc import Iterable

from callrecord.operator.rendering.table import table
from callrecord.operator.rendering.values import money, number, seconds
from callrecord.reading import Usage

NAMES = ("kind", "model", "requests", "tokens in", "tokens out", "audio", "chars", "cost")


def usage_table(usage: Iterable[Usage], *, width: int) -> list[str]:
    """Return a table with one row for each kind and model.

    It also counts cancelled and estimated requests, and cached tokens.
    """
    groups: dict[tuple[str, str], list[Usage]] = {}
    for request in usage:
        groups.setdefault((request.kind, request.model or ""), []).append(request)
    rows = [(kind, model, *_sums(requests)) for (kind, model), requests in sorted(groups.items())]
    return table(NAMES, rows, width=width, wraps=("model", "requests", "tokens in"))


def _sums(requests: list[Usage]) -> tuple[str | None, ...]:
    audio_ms = sum(each.audio_ms or 0 for each in requests)
    return (
        _with(
            len(requests),
            cancelled=sum(each.cancelled for each in requests),
            estimated=sum(each.estimated for each in requests),
        ),
        _with(
            sum(each.input_tokens for each in requests),
            cached=sum(each.cached_input_tokens for each in requests),
        ),
        number(sum(each.output_tokens for each in requests)),
        seconds(audio_ms, 1) if audio_ms else None,
        number(sum(each.characters or 0 for each in requests)),
        money(each.cost for each in requests),
    )


def _with(count: int, **parts: int) -> str | None:
    """Return a number and those of its parts that are not 0, such as `3 (1 cancelled)`."""
    detail = ", ".join(f"{part} {name}" for name, part in parts.items() if part)
    return f"{count} ({detail})" if count and detail else number(count)
