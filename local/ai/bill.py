"""What the scripted models cost, to hold a worker's own count against."""

from dataclasses import asdict, dataclass

from aiohttp import web


@dataclass
class BillLine:
    """What one request costs, in tokens; for a request that was cut, those sent until then."""

    id: str
    prompt_tokens: int
    completion_tokens: int = 0
    finished: bool = False


class Bill:
    """Lists every request, also those that were cut short and so never told their usage."""

    def __init__(self) -> None:
        self._lines: list[BillLine] = []

    def line(self, request_id: str, prompt_tokens: int) -> BillLine:
        """Open the line of a request; its answer fills it in."""
        line = BillLine(request_id, prompt_tokens)
        self._lines.append(line)
        return line

    async def handle(self, _request: web.Request) -> web.Response:
        """GET /bill."""
        return web.json_response({"requests": [asdict(line) for line in self._lines]})
