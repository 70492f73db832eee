"""What every test runs under: nothing phones home, no hub is asked, no user's home is touched."""

import os
from pathlib import Path

import pytest

# Set before any library reads them at import.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "OMP_WAIT_POLICY": "PASSIVE",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
}


@pytest.fixture(autouse=True)
def no_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget a `FLYWHEEL_HOME` that the developer has set: tests name their own."""
    monkeypatch.delenv("FLYWHEEL_HOME", raising=False)


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """Folder of real logs; the test is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("FLYWHEEL_REAL_LOGS", beside))
    if not folder.is_dir():
        pytest.skip("no real logs: set FLYWHEEL_REAL_LOGS or put them in ../shared/data")
    return folder
