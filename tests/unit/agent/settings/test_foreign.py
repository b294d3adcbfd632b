"""Variables that a platform puts into the environment, under names that begin like ours."""

import pytest

from agent.settings import load
from callrecord.errors import Stop

KUBERNETES = {
    "AGENT_SERVICE_HOST": "10.0.0.1",
    "AGENT_SERVICE_PORT": "8081",
    "AGENT_SERVICE_PORT_HTTP": "8081",
    "AGENT_PORT": "tcp://10.0.0.1:8081",
    "AGENT_PORT_8081_TCP": "tcp://10.0.0.1:8081",
    "AGENT_PORT_8081_TCP_PROTO": "tcp",
    "AGENT_PORT_8081_TCP_PORT": "8081",
    "AGENT_PORT_8081_TCP_ADDR": "10.0.0.1",
}
AZURE = {"TF_BUILD": "True", "AGENT_NAME": "Azure Pipelines 3", "AGENT_OS": "Linux"}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.mark.parametrize(
    "variables",
    [
        KUBERNETES,
        {name.replace("AGENT_", "AGENT_HTTP_", 1): value for name, value in KUBERNETES.items()},
        {"AGENT_OS": "Linux", "AGENT_ID": "3", "AGENT_JOBNAME": "Job"},
        AZURE,
    ],
)
def test_they_are_ignored_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.agent_http_port, settings.agent_name) == (8081, "")
    warned = {each.variable for each in caplog.records}  # type: ignore[attr-defined]
    assert warned == set(variables) - {"TF_BUILD"}


def test_a_file_of_ones_own_says_what_they_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_HTTP_PORT", "tcp://10.0.0.1:80")
    with open(".env", "w") as file:  # noqa: PTH123 - the working directory's
        file.write("AGENT_HTTP_PORT=9000\n")
    assert load().agent_http_port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [("AGENT_HTTP_PORT", "9000"), ("AGENT_NAME", "desk")],
)
def test_ones_own_are_not_taken_for_theirs(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert str(getattr(load(), name.lower())) == value


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("AGENT_STT_MODLE", "did you mean AGENT_STT_MODEL?"),
        ("AGENT_HTTPPORT", "did you mean AGENT_HTTP_PORT?"),
        ("AGENT_SOMETHING_ELSE", "see .env.example"),
    ],
)
def test_a_typo_is_refused(monkeypatch: pytest.MonkeyPatch, typo: str, meant: str) -> None:
    monkeypatch.setenv(typo, "x")
    with pytest.raises(Stop) as caught:
        load()
    assert str(caught.value).endswith(meant) or meant in str(caught.value)
