"""Azure's paths to the same models: deployments in the path, its own key header, an API version."""

from aiohttp import web

from local.ai.protocol import ApiError, Handler

DEPLOYMENT = "/openai/deployments/{deployment}"


def versioned(handler: Handler) -> Handler:
    """Answer as Azure does: nothing without its key header and an API version."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "api-version" not in request.query:
            raise ApiError("Resource not found", status=404, code="404")
        _check_key(request)
        return await handler(request)

    return answer


def keyed(handler: Handler) -> Handler:
    """Answer as Azure's newer paths do, which have no API version."""

    async def answer(request: web.Request) -> web.StreamResponse:
        _check_key(request)
        return await handler(request)

    return answer


def _check_key(request: web.Request) -> None:
    if not request.headers.get("api-key"):
        message = "Access denied due to invalid subscription key or wrong API endpoint."
        raise ApiError(message, status=401, code="401")
