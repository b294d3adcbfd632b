"""`python -m bench.estimate`: how far the estimates of cut requests are from what was used.

The local model answers conversations of five turns. Each answer is taken as cut at a place of
chance: the estimate of it, made from what the conversation was told before, beside the tokens that
the model had made by then, and the prompt's beside the one it was told. The model sends each token
by itself, as many do; the same answers are also taken as coming in pieces of chance, of one to
eight tokens, and as one piece, which leaves their characters alone to count.
"""

import asyncio
import bisect
import itertools
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import openai
from livekit.agents import llm

from bench import report
from callrecord.recording.usage.estimate import Answer, Estimator, Scale
from local.ai_server import AIServer
from local.places import run_directory

MODEL = "smollm2-135m-instruct"
TURNS = 5
INSTRUCTIONS = "You are a friendly assistant on the phone. Answer in one or two short sentences."
QUESTIONS = (
    "What is the capital of France?",
    "Tell me something about the sea.",
    "How do I cook rice?",
    "Why is the sky blue, and why is it red in the evening?",
    "I have ordered a book two weeks ago and it has not arrived yet. What can I do?",
    "Who wrote Faust?",
    "Please explain how a bicycle stays upright while it is moving.",
    "What should I see in Lisbon in two days, if I like old trams and the river?",
    "Thank you. And what about tomorrow?",
    "Could you say that again, more slowly?",
)


async def reply(client: openai.AsyncOpenAI, context: llm.ChatContext) -> tuple[list[str], int]:
    """Return the tokens of an answer, as text, and the tokens of its prompt."""
    formatted: Any
    formatted, _ = context.to_provider_format(format="openai")
    pieces: list[str] = []
    asked = 0
    stream = await client.chat.completions.create(
        model=MODEL, messages=formatted, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
        if chunk.usage is not None:
            asked = chunk.usage.prompt_tokens
    return pieces, asked


async def measure(replies: int, seed: int) -> list[report.Row]:
    """Return relative errors, in percent of what was used."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
    errors: dict[tuple[str, str], list[float]] = {}
    with run_directory() as directory:
        server = AIServer(directory)
        await server.start()
        try:
            async with openai.AsyncOpenAI(base_url=server.url, api_key=server.api_key) as client:
                for number in range(replies // TURNS):
                    await _conversation(client, chance, errors)
                    print(f"{(number + 1) * TURNS} replies", file=sys.stderr)
        finally:
            await server.stop()
    return [{"of": of, "estimated": when, **_spread(found)} for (of, when), found in errors.items()]


async def _conversation(
    client: openai.AsyncOpenAI,
    chance: random.Random,
    errors: dict[tuple[str, str], list[float]],
) -> None:
    ways = {way: Estimator() for way in WAYS}  # as of one call
    scale = Scale()
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=INSTRUCTIONS)
    for turn in range(TURNS):
        context.add_message(role="user", content=chance.choice(QUESTIONS))
        tokens, asked = await reply(client, context)
        if not tokens:
            continue
        when = "after a told answer" if turn else "first answer of a call"
        cut = chance.randint(1, len(tokens))
        size = scale.weigh(context, [])
        for way, estimator in ways.items():
            pieces = WAYS[way](tokens, chance)
            errors.setdefault((f"answer, {way}", when), []).append(_off(estimator, pieces, cut))
            if way == next(iter(WAYS)):
                off = _percent(estimator.prompt(MODEL, size), asked)
                errors.setdefault(("prompt", when), []).append(off)
            estimator.learn(MODEL, size, asked, _came(pieces), sum(map(len, pieces)))
        context.add_message(role="assistant", content="".join(tokens))


def _off(estimator: Estimator, pieces: list[list[str]], cut: int) -> float:
    """Return the error of an answer that is cut after so many tokens.

    The piece in which it is cut is the last that comes.
    """
    ends = list(itertools.accumulate(map(len, pieces)))
    came = pieces[: bisect.bisect_left(ends, cut) + 1]
    return _percent(estimator.answer(MODEL, _came(came)), sum(map(len, came)))


def _came(pieces: list[list[str]]) -> Answer:
    answer = Answer()
    for piece in pieces:
        answer = answer.and_also("".join(piece))
    return answer


def _percent(estimate: int, used: int) -> float:
    return 100 * abs(estimate - used) / used


def _by_chance(tokens: list[str], chance: random.Random) -> list[list[str]]:
    pieces, at = [], 0
    while at < len(tokens):
        count = chance.randint(1, 8)
        pieces.append(tokens[at : at + count])
        at += count
    return pieces


WAYS: dict[str, Callable[[list[str], random.Random], list[list[str]]]] = {
    "token by token": lambda tokens, _: [[token] for token in tokens],
    "in pieces of 1 to 8": _by_chance,
    "in one piece": lambda tokens, chance: [tokens[: chance.randint(1, len(tokens))]],
}
"""How an answer comes."""


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "n": len(values),
        "mean %": statistics.fmean(values),
        "median %": statistics.median(values),
        "p95 %": report.percentile(values, 0.95),
    }


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("Estimates of cut requests beside what they used.")
    parser.add_argument("--replies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begun = report.conditions()
    rows = asyncio.run(measure(args.replies, args.seed))
    report.show("error of the estimates", rows)
    report.finish(args.out, "estimate", {"rows": rows}, begun)
    return 0


if __name__ == "__main__":
    sys.exit(main())
