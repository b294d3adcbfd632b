"""Agents as people write them, in the manner of LiveKit's examples; the room's name says which."""

import os
from typing import Any

from livekit import api
from livekit.agents import (
    Agent,
    AgentSession,
    ChatContext,
    ChatMessage,
    JobContext,
    StopResponse,
    cli,
    function_tool,
    get_job_context,
    room_io,
)
from livekit.plugins import openai, silero

from callrecord import RecordingServer, record


class Plain(Agent):
    """Greets, and answers."""

    def __init__(self, **models: Any) -> None:
        super().__init__(instructions="You are a helpful assistant.", **models)

    async def on_enter(self) -> None:
        """Greet the caller."""
        self.session.say("Hi, what can I do for you?")


class Wordy(Plain):
    """Greets for a while."""

    async def on_enter(self) -> None:
        """Greet the caller."""
        self.session.say(
            "Welcome to the pizza house on the corner, where everything is made by hand, every day."
            " What would you like to order from our menu today?"
        )


class Wake(Plain):
    """Answers when it is called by its name."""

    async def on_user_turn_completed(self, _: ChatContext, new_message: ChatMessage) -> None:
        """Stop the reply to others."""
        if "your name" not in (new_message.text_content or "").lower():
            raise StopResponse


class Leaver(Plain):
    """Ends the session."""

    @function_tool
    async def end_call(self) -> None:
        """Hang up."""
        self.session.shutdown()


class Deleter(Plain):
    """Deletes the room."""

    @function_tool
    async def end_call(self) -> None:
        """Hang up."""
        job = get_job_context()
        await job.api.room.delete_room(api.DeleteRoomRequest(room=job.room.name))


def realtime() -> openai.realtime.RealtimeModel:
    """Return a realtime model."""
    return openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"] + "/realtime")


server = RecordingServer(
    load_fnc=lambda _: 0.0, load_threshold=float("inf"), port=int(os.environ["PORT"])
)


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Answer a call."""
    which = ctx.room.name.split("-")[0]
    options = room_io.RoomOptions()
    session = AgentSession[None](
        vad=silero.VAD.load(), stt=openai.STT(), llm=openai.LLM(), tts=openai.TTS()
    )
    agent: Agent = {"wake": Wake, "wordy": Wordy, "deletes": Deleter}.get(which, Plain)()
    if which == "leaves":
        agent, options = Leaver(), room_io.RoomOptions(delete_room_on_close=True)
    elif which == "stays":
        options = room_io.RoomOptions(close_on_disconnect=False)
    elif which == "owns":
        session = AgentSession[None](turn_handling={"turn_detection": "realtime_llm"})
        agent = Plain(llm=realtime(), tts=openai.TTS())
    record(ctx, session)
    await session.start(agent=agent, room=ctx.room, room_options=options)


if __name__ == "__main__":
    cli.run_app(server)
