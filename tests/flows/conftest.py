"""One Prefect server for all flow tests: starting it takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    storage = {PREFECT_LOCAL_STORAGE_PATH: str(tmp_path_factory.mktemp("storage"))}
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(storage):
        yield
