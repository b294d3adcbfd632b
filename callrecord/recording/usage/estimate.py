"""Estimates of tokens that no provider reported; every reported request improves them.

A prompt is estimated as the model's last reported prompt plus what was added since. An answer is
estimated at the rate of that model's earlier answers, per piece (many providers send one token a
piece) or per character, whichever was more accurate. Before the first reported answer, a token is
four characters (OpenAI's rule of thumb for English), and a piece is at least one token.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents.llm import ChatContext, Tool, ToolContext

CHARACTERS_A_TOKEN: Final = 4.0
MESSAGE_TOKENS: Final = 4
"""Tokens around each message, in the public chat formats."""
_MOST_AROUND: Final = 12.0
_PRIOR_CHARACTERS: Final = 40.0
"""Weight of the rule of thumb against the reported figures."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a text, as far as it is known without its tokens."""

    characters: int
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of an answer that arrived.

    Attributes:
        characters: The number of characters of its text.
        pieces: The number of pieces in which the text arrived.
        called: Characters of function calls; plugins join their pieces, so these don't count.
    """

    characters: int = 0
    pieces: int = 0
    called: int = 0

    def and_also(self, text: str, called: int = 0) -> "Answer":
        """Return the answer with one more chunk."""
        return Answer(self.characters + len(text), self.pieces + bool(text), self.called + called)


@dataclass(slots=True)
class _Known:
    """What was learned from the reported requests of one model."""

    characters: float = _PRIOR_CHARACTERS
    tokens: float = _PRIOR_CHARACTERS / CHARACTERS_A_TOKEN
    prompt: Size | None = None
    prompt_tokens: int = 0
    around_message: float = MESSAGE_TOKENS
    reported: int = 0
    pieces: int = 0
    answered: int = 0
    off_by_characters: float = 0.0
    off_by_pieces: float = 0.0

    def rate(self) -> float:
        """Tokens per character."""
        return self.tokens / self.characters

    def by_pieces(self) -> bool:
        """Whether pieces have been the better measure of this model's answers so far."""
        return bool(self.answered) and self.off_by_pieces <= self.off_by_characters

    def answer(self, answer: Answer) -> float:
        """Tokens of an answer, or of the part that arrived."""
        called = answer.called * self.rate()
        if self.by_pieces():
            return answer.pieces * self._piece() + called
        least = 0 if self.answered else answer.pieces
        return max(answer.characters * self.rate(), least) + called

    def take_answer(self, answer: Answer, tokens: int) -> None:
        """Learn from a reported answer, and from the error of each measure."""
        if answer.pieces and not answer.called:
            self.off_by_characters += abs(answer.characters * self.rate() - tokens)
            self.off_by_pieces += abs(answer.pieces * self._piece() - tokens)
            self.pieces += answer.pieces
            self.answered += tokens
        self.characters += answer.characters + answer.called
        self.tokens += tokens

    def _piece(self) -> float:
        return self.answered / self.pieces if self.pieces else 1.0

    def take_prompt(self, prompt: Size, tokens: int) -> None:
        """Learn from a reported prompt; its growth shows the tokens around a message."""
        if self.prompt is not None and (more := prompt.messages - self.prompt.messages) > 0:
            grown = (prompt.characters - self.prompt.characters) * self.rate()
            around = (tokens - self.prompt_tokens - grown) / more
            self.around_message += (min(max(around, 0.0), _MOST_AROUND) - self.around_message) / 2
        self.prompt, self.prompt_tokens = prompt, tokens


@dataclass(frozen=True, slots=True)
class Speech:
    """The sums of requests for speech."""

    characters: int = 0
    audio_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def and_also(self, other: "Speech") -> "Speech":
        """Return the sum of both."""
        return Speech(
            self.characters + other.characters,
            self.audio_ms + other.audio_ms,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


class Estimator:
    """Learns from requests whose usage was reported, model by model."""

    def __init__(self) -> None:
        self._models: dict[str, _Known] = {}
        self._speech: dict[str, Speech] = {}
        self._hearing: dict[str, tuple[float, float]] = {}

    def learn(
        self, model: str, prompt: Size, prompt_tokens: int, answer: Answer, answer_tokens: int
    ) -> None:
        """Learn from a reported request.

        Args:
            model: The model's name.
            prompt: The size of the prompt.
            prompt_tokens: The reported tokens of the prompt.
            answer: The answer that arrived.
            answer_tokens: The reported tokens of the answer, without hidden reasoning.
        """
        known = self._models.setdefault(model, _Known())
        known.reported += 1
        if prompt_tokens > 0:
            known.take_prompt(prompt, prompt_tokens)
        if answer != Answer() and answer_tokens > 0:
            known.take_answer(answer, answer_tokens)

    def prompt(self, model: str, prompt: Size) -> int:
        """Return the tokens of a prompt; at least 1."""
        known = self._models.get(model) or _Known()
        last = known.prompt or Size(0)
        characters = (prompt.characters - last.characters) * known.rate()
        messages = (prompt.messages - last.messages) * known.around_message
        return max(1, round(known.prompt_tokens + characters + messages))

    def answer(self, model: str, answer: Answer) -> int:
        """Return the tokens of the part of an answer that arrived; at least 1 if any did."""
        known = self._models.get(model) or _Known()
        return max(1, round(known.answer(answer))) if answer != Answer() else 0

    def learn_speech(self, model: str, spoken: Speech) -> None:
        """Learn from a request for speech whose tokens were reported."""
        self._speech[model] = self._speech.get(model, Speech()).and_also(spoken)

    def speech(self, model: str, characters: int, audio_ms: int) -> tuple[int, int]:
        """Return input and output tokens of speech; zeros for a model that reports none."""
        known = self._speech.get(model, Speech())
        asked = characters * known.input_tokens / max(1, known.characters)
        return round(asked), round(audio_ms * known.output_tokens / max(1, known.audio_ms))

    def learn_hearing(self, model: str, given_s: float, reported_s: float) -> None:
        """Learn how much of the audio that a model was given it has counted."""
        given, reported = self._hearing.get(model, (0.0, 0.0))
        self._hearing[model] = given + given_s, reported + reported_s

    def hearing(self, model: str) -> float | None:
        """Return the share of audio that a model counts, at most 1; None if it never reported."""
        given, reported = self._hearing.get(model, (0.0, 0.0))
        return min(1.0, reported / given) if given > 0 else None

    def method(self, model: str) -> dict[str, Any]:
        """Return how a request of the model is estimated now, for its metadata."""
        known = self._models.get(model)
        if known is None or not known.reported:
            return {"method": "characters", "characters_a_token": CHARACTERS_A_TOKEN}
        return {
            "method": "learned",
            "told_requests": known.reported,
            "characters_a_token": round(known.characters / known.tokens, 3),
            "answers_by": "pieces" if known.by_pieces() else "characters",
        }


class Scale:
    """Measures prompts; caches the size of the last tools, which seldom change."""

    def __init__(self) -> None:
        self._tools: list[Tool] = []
        self._tools_size = 0

    def weigh(self, context: ChatContext, tools: list[Tool]) -> Size:
        """Return the size of a prompt, including the descriptions of its functions."""
        characters = 0
        for item in context.items:
            match item.type:
                case "message":
                    characters += len(item.text_content or "")
                case "function_call":
                    characters += len(item.name) + len(item.arguments)
                case "function_call_output":
                    characters += len(item.output)
        return Size(characters + self._of_tools(tools), len(context.items))

    def _of_tools(self, tools: list[Tool]) -> int:
        if tools != self._tools:
            self._tools = list(tools)
            self._tools_size = _described(tools) if tools else 0
        return self._tools_size


def _described(tools: list[Tool]) -> int:
    try:
        return len(json.dumps(ToolContext(tools).parse_function_tools("openai")))
    except Exception:  # noqa: BLE001 - a provider's own tool; an estimate may lack it
        return 0
