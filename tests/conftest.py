import os
from pathlib import Path

import pytest

MISSING = "MNIST is not here: set CONVOLVE_DATA to the folder with its four files"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `mnist` need the data: without it they fail in CI, where it must be, and are skipped elsewhere."""
    if item.get_closest_marker("mnist") and find_mnist() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly, and not only with -rs."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_sep("!", f"{len(skipped)} tests skipped: {MISSING}", yellow=True)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Where the four files lie. Only for tests marked `mnist`."""
    folder = find_mnist()
    assert folder is not None, "a test that takes `mnist_folder` must be marked `mnist`"
    return folder


def find_mnist() -> Path | None:
    folder = Path(os.environ.get("CONVOLVE_DATA") or "(not set)")
    return folder if any(folder.glob("train-images-idx3-ubyte*")) else None
