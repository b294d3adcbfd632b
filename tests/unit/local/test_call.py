"""`python -m local call`: options and settings that do not do are told in one line."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from local import call
from local.caller.sound import encode_wav
from local.errors import SettingsError

KEYS = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@pytest.fixture(autouse=True)
def _no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("LIVEKIT_", "OPENAI_", "AGENT_")):
            monkeypatch.delenv(name)


def _call(*options: str) -> int:
    parser = argparse.ArgumentParser()
    call.add_parser(parser.add_subparsers())
    args = parser.parse_args(["call", *options])
    code: int = args.run(args)
    return code


@pytest.mark.parametrize(
    ("options", "env", "told"),
    [
        ((), {}, "LIVEKIT_URL and LIVEKIT_API_KEY and LIVEKIT_API_SECRET not set"),
        ((), KEYS | {"LIVEKIT_URL": "localhost"}, "LIVEKIT_URL is 'localhost'"),
        ((), KEYS, "OPENAI_API_KEY not set"),
        (("--env-file", "nowhere.env"), KEYS, "nowhere.env cannot be read"),
        (("--wav", "nowhere.wav"), KEYS, "nowhere.wav: there is no such file"),
    ],
)
def test_bad_settings_are_told_and_mean_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], env: dict[str, str], told: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(told)) as caught:
        _call(*options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--metadata", "{"), "--metadata: not JSON"),
        (("--interrupt", "soon"), "'soon' is not a number of seconds"),
        (("--hang-up-after", "-1"), "'-1' is not a number of seconds"),
        (("--callers", "0"), "'0' is not a number of calls"),
        (("--hang-up", "never"), "--hang-up"),
    ],
)
def test_bad_options_are_told_and_mean_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        _call(*options)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()))
    command = [sys.executable, "-m", "local", "call", "--env-file", str(env_file), "--room", "r"]
    wav = ["--wav", str(_silence(tmp_path)), "--no-listen"]
    done = subprocess.run([*command, *wav], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot create room r at ws://127.0.0.1:1")
    assert len(done.stderr.splitlines()) == 1


def _silence(directory: Path) -> Path:
    path = directory / "silence.wav"
    path.write_bytes(encode_wav(np.zeros(2_400, dtype=np.int16)))
    return path
