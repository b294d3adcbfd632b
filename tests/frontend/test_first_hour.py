"""docs/front-end.md, "With Next.js and Supabase", done as it says: its code is cut out and run."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.postgres.store import Store
from callrecord.schema.migrate import migrate
from tests.frontend.front_end import FrontEnd, front_end
from tests.postgres.applied import apply
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.server import Connection, database
from tests.unit.callrecord.calls import batch, connected, ended, enlisted, leg, message, started


@dataclass(frozen=True)
class App:
    """A new Supabase project that was migrated, and the app that the document describes."""

    url: str
    owner: Connection
    front_end: FrontEnd

    async def sign_up(self) -> UUID:
        """Have somebody sign up, as Supabase's sign-in service writes it."""
        user = uuid4()
        await self.owner.execute("set role supabase_auth_admin")
        await self.owner.execute(
            "insert into auth.users (id, email, raw_user_meta_data) values ($1, $2, $3)",
            *(user, f"{user}@example.org", '{"full_name": "Ann"}'),
        )
        await self.owner.execute("reset role")
        return user


@pytest.fixture(scope="module")
async def app(postgres_server: str, sources: Path) -> AsyncIterator[App]:
    """From an empty project on."""
    async with database(postgres_server) as url:
        apply_seed(url, "supabase", "supabase_project")
        await migrate(url)
        async with front_end(sources, url, sources / "first-hour.log") as asking:
            owner = await asyncpg.connect(url)
            try:
                yield App(url, owner, asking)
            finally:
                await owner.close()


async def test_a_new_user_starts_a_call_and_reads_what_was_said(app: App) -> None:
    ann, eve = await app.sign_up(), await app.sign_up()
    answer = await app.front_end.do(ann, "start")
    assert answer["status"] == 200
    call, name = answer["call"], answer["room"]["name"]
    assert answer["room"]["path"] == "/twirp/livekit.RoomService/CreateRoom"
    assert json.loads(answer["room"]["metadata"]) == {"callId": call}
    assert name.startswith(f"call-{ann}-")
    grant = answer["grant"]
    assert (grant["sub"], grant["video"]) == (str(ann), {"roomJoin": True, "room": name})
    assert json.loads(grant["metadata"]) == {"userId": str(ann), "callId": call}
    waiting = await app.front_end.do(ann, "callById", call)
    assert (waiting["status"], waiting["session_id"], waiting["user_id"]) == (
        *("pending", name),
        str(ann),
    )
    async with enlisted(app.url) as dsn:
        store = Store(dsn)
        header = started(room_name=name, call_id=call)
        said = (message("hello"), message("hi", role="assistant"))
        await apply(store, batch(header, connected(), leg(user_id=ann), *said, ended()))
        await store.close()
    spoken = await app.front_end.do(ann, "conversation", call)
    assert [(turn["role"], turn["content"]) for turn in spoken] == [
        ("user", "hello"),
        ("assistant", "hi"),
    ]
    assert (await app.front_end.do(ann, "callById", call))["status"] == "completed"
    assert await app.front_end.do(eve, "conversation", call) == []
    assert await app.front_end.do(eve, "callById", call) is None


async def test_nobody_starts_a_call_unseen(app: App) -> None:
    assert await app.front_end.do(None, "start") == {"status": 401, "text": "sign in first"}
