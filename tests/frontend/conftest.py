"""What the tests of the front end share."""

from pathlib import Path

import pytest

from tests.frontend.toolchain import workspace


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a copy of the TypeScript sources, beside which their packages are."""
    return workspace(tmp_path_factory.mktemp("front-end"))
