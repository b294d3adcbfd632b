"""Estimates of tokens that no provider told, better with every request that was told.

A prompt is the last told prompt of the same model and what was added to it since. An answer counts
as many tokens as that model's answers did so far, by their pieces (many providers send each token
by itself) or by their characters, whichever was nearer. Before its first told answer, a token is
four characters (OpenAI's rule of thumb for English), and a piece one token at least.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents.llm import ChatContext, Tool, ToolContext

CHARACTERS_A_TOKEN: Final = 4.0
MESSAGE_TOKENS: Final = 4
"""Around each message, in the chat formats that are public."""
_MOST_AROUND: Final = 12.0
_PRIOR_CHARACTERS: Final = 40.0
"""Weight of the rule of thumb beside what was told."""


@dataclass(frozen=True, slots=True)
class Size:
    """What can be counted of a text without knowing its tokens."""

    characters: int
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an answer.

    Attributes:
        characters: Of its text.
        pieces: In which the text came.
        called: Characters of function calls; plugins gather these, so that pieces tell nothing.
    """

    characters: int = 0
    pieces: int = 0
    called: int = 0

    def and_also(self, text: str, called: int = 0) -> "Answer":
        """Return it with what one chunk brought."""
        return Answer(self.characters + len(text), self.pieces + bool(text), self.called + called)


@dataclass(slots=True)
class _Known:
    """What one model's told requests have taught."""

    characters: float = _PRIOR_CHARACTERS
    tokens: float = _PRIOR_CHARACTERS / CHARACTERS_A_TOKEN
    prompt: Size | None = None
    prompt_tokens: int = 0
    around_message: float = MESSAGE_TOKENS
    told: int = 0
    pieces: int = 0
    answered: int = 0
    off_by_characters: float = 0.0
    off_by_pieces: float = 0.0

    def rate(self) -> float:
        """Tokens of a character."""
        return self.tokens / self.characters

    def by_pieces(self) -> bool:
        """Whether pieces were the better measure of this model's answers so far."""
        return bool(self.answered) and self.off_by_pieces <= self.off_by_characters

    def answer(self, answer: Answer) -> float:
        """Tokens of an answer, or of as much of it as came."""
        called = answer.called * self.rate()
        if self.by_pieces():
            return answer.pieces * self._piece() + called
        least = 0 if self.answered else answer.pieces
        return max(answer.characters * self.rate(), least) + called

    def take_answer(self, answer: Answer, tokens: int) -> None:
        """Learn from a told answer, and how near each measure was to it."""
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
        """Learn from a told prompt, and what stands around a message from its growth."""
        if self.prompt is not None and (more := prompt.messages - self.prompt.messages) > 0:
            grown = (prompt.characters - self.prompt.characters) * self.rate()
            around = (tokens - self.prompt_tokens - grown) / more
            self.around_message += (min(max(around, 0.0), _MOST_AROUND) - self.around_message) / 2
        self.prompt, self.prompt_tokens = prompt, tokens


@dataclass(frozen=True, slots=True)
class Speech:
    """What requests for speech came to."""

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
    """Learns from requests whose usage was told, model by model."""

    def __init__(self) -> None:
        self._models: dict[str, _Known] = {}
        self._speech: dict[str, Speech] = {}
        self._hearing: dict[str, tuple[float, float]] = {}

    def learn(
        self, model: str, prompt: Size, prompt_tokens: int, answer: Answer, answer_tokens: int
    ) -> None:
        """Take in a told request.

        Args:
            model: Its name.
            prompt: Size of what was sent.
            prompt_tokens: Told for it.
            answer: What came of the answer.
            answer_tokens: Told for it, without hidden reasoning.
        """
        known = self._models.setdefault(model, _Known())
        known.told += 1
        if prompt_tokens > 0:
            known.take_prompt(prompt, prompt_tokens)
        if answer != Answer() and answer_tokens > 0:
            known.take_answer(answer, answer_tokens)

    def prompt(self, model: str, prompt: Size) -> int:
        """Return the tokens of a prompt; 1 at least."""
        known = self._models.get(model) or _Known()
        last = known.prompt or Size(0)
        characters = (prompt.characters - last.characters) * known.rate()
        messages = (prompt.messages - last.messages) * known.around_message
        return max(1, round(known.prompt_tokens + characters + messages))

    def answer(self, model: str, answer: Answer) -> int:
        """Return the tokens of so much of an answer; 1 at least if there is any."""
        known = self._models.get(model) or _Known()
        return max(1, round(known.answer(answer))) if answer != Answer() else 0

    def learn_speech(self, model: str, spoken: Speech) -> None:
        """Take in a request for speech whose tokens were told."""
        self._speech[model] = self._speech.get(model, Speech()).and_also(spoken)

    def speech(self, model: str, characters: int, audio_ms: int) -> tuple[int, int]:
        """Return input and output tokens of speech; none for a model that tells no tokens."""
        known = self._speech.get(model, Speech())
        asked = characters * known.input_tokens / max(1, known.characters)
        return round(asked), round(audio_ms * known.output_tokens / max(1, known.audio_ms))

    def learn_hearing(self, model: str, given_s: float, told_s: float) -> None:
        """Take in how much audio a model was given, and how much of it it counted."""
        given, told = self._hearing.get(model, (0.0, 0.0))
        self._hearing[model] = given + given_s, told + told_s

    def hearing(self, model: str) -> float | None:
        """Return the share of audio that a model counts, 1 at most; None if it never told."""
        given, told = self._hearing.get(model, (0.0, 0.0))
        return min(1.0, told / given) if given > 0 else None

    def method(self, model: str) -> dict[str, Any]:
        """Return how a request of the model is estimated now, for its metadata."""
        known = self._models.get(model)
        if known is None or not known.told:
            return {"method": "characters", "characters_a_token": CHARACTERS_A_TOKEN}
        return {
            "method": "learned",
            "told_requests": known.told,
            "characters_a_token": round(known.characters / known.tokens, 3),
            "answers_by": "pieces" if known.by_pieces() else "characters",
        }


class Scale:
    """Weighs prompts; remembers the weight of the last tools, which seldom change."""

    def __init__(self) -> None:
        self._tools: list[Tool] = []
        self._tools_size = 0

    def weigh(self, context: ChatContext, tools: list[Tool]) -> Size:
        """Return the size of a prompt, the descriptions of its functions included."""
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
    except Exception:  # noqa: BLE001 - a tool of a provider's own; an estimate may lack it
        return 0
