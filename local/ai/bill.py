"""What the local models cost, to hold a worker's own count against."""

from dataclasses import asdict, dataclass

from aiohttp import web


@dataclass
class BillLine:
    """What one request costs: tokens, characters, or audio; a cut one's until it was cut.

    A request that was refused, or failed before its answer, is on no bill. Audio tokens lie inside
    the others, as in a realtime model's own usage.
    """

    id: str
    kind: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    prompt_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    characters: int = 0
    audio_ms: int = 0
    finished: bool = False


class Bill:
    """Lists every request, also those that were cut short and so never told their usage."""

    def __init__(self) -> None:
        self._lines: list[BillLine] = []

    def line(
        self, request_id: str, kind: str, *, prompt_tokens: int = 0, characters: int = 0
    ) -> BillLine:
        """Open the line of a request, of a kind as the ledger names it; its answer fills it in."""
        line = BillLine(request_id, kind, prompt_tokens=prompt_tokens, characters=characters)
        self._lines.append(line)
        return line

    async def handle(self, _request: web.Request) -> web.Response:
        """GET /bill."""
        return web.json_response({"requests": [asdict(line) for line in self._lines]})
