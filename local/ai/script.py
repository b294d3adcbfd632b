r"""A language model that answers from a file, so that a test knows every word and token.

The file is a JSON object::

    {
      "rules": [
        {"match": "weather", "reply": "Sunny.", "delay_s": 0.2, "tokens_per_s": 20},
        {"match": "order (\\d+)", "reply": null,
         "tool_call": {"name": "look_up", "arguments": {"order": 7}},
         "after_tool": "It is on its way."}
      ],
      "default": {"reply": "Yes."},
      "faults": [{"on": "llm", "do": "fail", "status": 429, "when": "first 2"}],
      "llm": "script",
      "tts": "tone",
      "stt": ["hello", "what is the weather"]
    }

``rules``: the first whose ``match`` (a regular expression, case ignored) is found in the last
user message answers; ``default`` does if none is, or if there is no user message. A message that
ends with a tool's result is answered with the ``after_tool`` of the rule that the last user
message leads to. ``delay_s`` seconds pass before the first token, then ``tokens_per_s`` come each
second (all at once if left out). ``faults``: see ``local/ai/faults.py``. ``llm``: "local" lets the
local model answer in place of the rules. ``tts``: "tone" speaks a sine tone of 60 ms a word; left
out: Piper. ``stt``: these transcripts one after the other and then empty ones; left out: Whisper.

A running server takes another script by POST /script, for the requests that begin after it, and
GET /requests tells which fault each request since the start met.

A word is a token: ``prompt_tokens`` counts the words of all messages, ``completion_tokens`` those
of the reply, and of a tool call those of its name and arguments (as JSON). GET /bill lists what
each request came to, also those that were cut short and so never told their usage.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from local.ai.faults import Fault, check
from local.errors import SettingsError


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function the model asks for."""

    name: str
    arguments: str | dict[str, Any] = {}

    def arguments_json(self) -> str:
        """The arguments as the JSON text that the protocol carries."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to answer, with what, and how fast."""

    match: str = ""
    reply: str | None = None
    tool_call: ToolCall | None = None
    after_tool: str | None = None
    delay_s: float = 0.0
    tokens_per_s: float | None = None


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole script file."""

    rules: list[Rule] = []
    default: Rule = Rule(reply="Yes.")
    faults: list[Fault] = []
    llm: Literal["script", "local"] = "script"
    tts: Literal["tone"] | None = None
    stt: list[str] | None = None


@dataclass(frozen=True)
class Answer:
    """What the scripted model says to one request."""

    text: str
    tool_call: ToolCall | None = None
    delay_s: float = 0.0
    tokens_per_s: float | None = None

    @property
    def tokens(self) -> int:
        """Words of the text and of the tool call."""
        call = self.tool_call
        asked = f"{call.name} {call.arguments_json()}" if call else ""
        return count_words(self.text) + count_words(asked)

    @property
    def pause_s(self) -> float:
        """Pause after each token."""
        return 1 / self.tokens_per_s if self.tokens_per_s else 0.0


def load(path: Path) -> Script:
    """Read a script file.

    Raises:
        SettingsError: It cannot be read or is not as described above.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"script {path}: {error}") from error
    return parse(text, f"script {path}")


def parse(text: bytes, name: str) -> Script:
    """Read a script; ``name`` begins the message of its error.

    Raises:
        SettingsError: It is not as described above.
    """
    try:
        script = msgspec.json.decode(text, type=Script)
        for rule in script.rules:
            re.compile(rule.match)
        for fault in script.faults:
            check(fault)
    except (msgspec.DecodeError, ValueError, re.error) as error:
        raise SettingsError(f"{name}: {error}") from error
    return script


def answer(script: Script, messages: list[Any]) -> Answer:
    """Choose the answer to a conversation."""
    said = last_said(messages)
    rule = script.default if said is None else _rule(script, said)
    if messages and _role(messages[-1]) == "tool":
        text = rule.after_tool if rule.after_tool is not None else script.default.reply or ""
        return Answer(text, None, rule.delay_s, rule.tokens_per_s)
    return Answer(rule.reply or "", rule.tool_call, rule.delay_s, rule.tokens_per_s)


def last_said(messages: list[Any]) -> str | None:
    """The last user message."""
    said = [_text(message) for message in messages if _role(message) == "user"]
    return said[-1] if said else None


def count_words(text: str) -> int:
    """Number of words, which are a script's tokens."""
    return len(text.split())


def prompt_words(messages: list[Any]) -> int:
    """Words of all messages."""
    return sum(count_words(_text(message)) for message in messages)


def pieces(text: str) -> list[str]:
    """The words with the white space around them: joined, they are the text again."""
    found: list[str] = re.findall(r"\s*\S+(?:\s+$)?", text)
    return found


def _text(message: Any) -> str:
    """The text of a chat message, whose content is a string, a list of parts, or null."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _role(message: Any) -> str:
    return str(message.get("role", "")) if isinstance(message, dict) else ""


def _rule(script: Script, said: str) -> Rule:
    for rule in script.rules:
        if re.search(rule.match, said, re.IGNORECASE):
            return rule
    return script.default
