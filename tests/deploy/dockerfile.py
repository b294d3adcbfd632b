"""Reads the instructions of a Dockerfile that ours uses."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: Such as RUN, in capitals.
        flags: `--from=build` as {"from": "build"}; a flag given twice keeps the last.
        text: What follows the flags, continuation lines joined.
    """

    name: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The text as words: the exec form's, or the shell's."""
        if self.exec_form is not None:
            return self.exec_form
        return shlex.split(self.text)

    @property
    def exec_form(self) -> list[str] | None:
        """The words of `["program", "argument"]`; None where a shell would run the text."""
        if not self.text.startswith("["):
            return None
        words: Any = json.loads(self.text)
        return [str(word) for word in words]


@dataclass(frozen=True)
class Stage:
    """A stage: FROM `source` AS `name`, and its instructions."""

    source: str
    name: str
    instructions: list[Instruction]

    def last(self, name: str) -> Instruction | None:
        """Return the instruction of that name which counts: the last."""
        return next((each for each in reversed(self.instructions) if each.name == name), None)


def read(path: Path) -> list[Stage]:
    """Read the stages of a Dockerfile in order."""
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text()):
        if instruction.name == "FROM":
            source, *alias = instruction.words
            stages.append(Stage(source, alias[1] if alias else "", []))
        else:
            stages[-1].instructions.append(instruction)
    return stages


def text_of(stage: Stage, name: str) -> str:
    """Return the text of a stage's last instruction of that name."""
    instruction = stage.last(name)
    assert instruction is not None, f"no {name}"
    return instruction.text


def start_command(stage: Stage) -> list[str]:
    """Return the words of the CMD, which is in exec form."""
    start = stage.last("CMD")
    assert start is not None
    assert start.exec_form is not None
    return start.exec_form


def health_command(stage: Stage) -> list[str]:
    """Return the words of the HEALTHCHECK's command, which is in exec form."""
    check = stage.last("HEALTHCHECK")
    assert check is not None
    command = _instruction(check.text)
    assert command.name == "CMD"
    assert command.exec_form is not None
    return command.exec_form


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [_instruction(line) for line in joined.splitlines() if line.strip()]


def _instruction(line: str) -> Instruction:
    name, _, rest = line.strip().partition(" ")
    flags: dict[str, str] = {}
    rest = rest.strip()
    while match := re.match(r"--(\S+?)=(\S+)\s*", rest):
        flags[match[1]] = match[2]
        rest = rest[match.end() :]
    return Instruction(name.upper(), flags, rest)
