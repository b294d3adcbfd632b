"""The caller's requests to the LiveKit server outside a room: rooms, tokens, dispatch."""

from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from livekit import api

from local.caller.errors import CallerError


@dataclass(frozen=True)
class Role:
    """The kind and rights of a participant.

    Attributes:
        kind: A caller by phone is "sip".
        hidden: Others do not see it, such as a supervisor who listens in.
        may_change_itself: It may change its name, metadata and attributes.
    """

    kind: Literal["standard", "sip", "agent", "egress", "ingress"] = "standard"
    hidden: bool = False
    may_change_itself: bool = False


CALLER = Role()


@dataclass(frozen=True)
class Server:
    """A LiveKit server and the key to it.

    Attributes:
        url: ws://, wss://, http:// or https://.
        api_key: Name of the key.
        api_secret: The key's secret; not in the repr.
        agent_name: The agent to dispatch to rooms created here; empty: automatic dispatch.
    """

    url: str
    api_key: str
    api_secret: str = field(repr=False)
    agent_name: str = ""

    async def create_room(self, name: str, metadata: str = "", *, job_metadata: str = "") -> str:
        """Create the room as a front end does, and return its sid.

        An existing room with that name stays unchanged.

        Args:
            name: Of the room.
            metadata: Of the room.
            job_metadata: For the agent, if `agent_name` names one.

        Raises:
            CallerError: The server cannot be reached or refuses.
        """
        dispatch = api.RoomAgentDispatch(agent_name=self.agent_name, metadata=job_metadata)
        agents = [dispatch] if self.agent_name else []
        request = api.CreateRoomRequest(name=name, metadata=metadata, agents=agents)
        try:
            async with self._api() as client:
                room = await client.room.create_room(request)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            raise CallerError(f"cannot create room {name} at {self.url}: {error}") from error
        return room.sid

    async def dispatch(self, room: str) -> None:
        """Ask for the agent in a room that is there.

        Raises:
            CallerError: The server cannot be reached or refuses.
        """
        request = api.CreateAgentDispatchRequest(agent_name=self.agent_name, room=room)
        try:
            async with self._api() as client:
                await client.agent_dispatch.create_dispatch(request)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            raise CallerError(f"no agent for room {room} at {self.url}: {error}") from error

    async def delete_room(self, name: str) -> None:
        """Delete the room, which disconnects everybody.

        Raises:
            CallerError: The server cannot be reached or refuses.
        """
        try:
            async with self._api() as client:
                await client.room.delete_room(api.DeleteRoomRequest(room=name))
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
            raise CallerError(f"cannot delete room {name} at {self.url}: {error}") from error

    def token(  # noqa: PLR0913 - what a token holds
        self,
        room: str,
        identity: str,
        *,
        name: str | None = None,
        metadata: str = "",
        attributes: dict[str, str] | None = None,
        role: Role = CALLER,
    ) -> str:
        """Return a signed token that lets this participant into this room."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            hidden=role.hidden,
            can_update_own_metadata=role.may_change_itself,
            agent=role.kind == "agent",
        )
        token = (
            api.AccessToken(self.api_key, self.api_secret)
            .with_identity(identity)
            .with_name(identity if name is None else name)
            .with_metadata(metadata)
            .with_attributes(attributes or {})
            .with_kind(role.kind)
            .with_grants(grants)
        )
        return token.to_jwt()

    def _api(self) -> api.LiveKitAPI:
        timeout = aiohttp.ClientTimeout(total=10)
        return api.LiveKitAPI(self.url, self.api_key, self.api_secret, timeout=timeout)
