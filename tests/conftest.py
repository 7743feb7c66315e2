import os
import re
import shutil
from pathlib import Path

import pytest

MISSING = "MNIST is not here: set CONVOLVE_DATA to the folder with its four files"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `mnist` need the data: without it they fail in CI, where it must be, and are skipped elsewhere."""
    if item.get_closest_marker("mnist") and find_mnist() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly, and not only with -rs, what was not tested because something is not here."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    missing = [found[0] for reason in reasons if (found := re.search(f"{MISSING}|no .{{1,30}} here: .*\\w", reason))]
    for what in dict.fromkeys(missing):
        terminalreporter.write_sep("!", f"{missing.count(what)} tests skipped: {what}", yellow=True)


def program(name: str, package: str) -> str:
    """Where a program of Debian's lies; without it, the test that asks is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here: apt-get install {package}")
    return path


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Where the four files lie. Only for tests marked `mnist`."""
    folder = find_mnist()
    assert folder is not None, "a test that takes `mnist_folder` must be marked `mnist`"
    return folder


def find_mnist() -> Path | None:
    folder = Path(os.environ.get("CONVOLVE_DATA") or "(not set)")
    return folder if any(folder.glob("train-images-idx3-ubyte*")) else None
