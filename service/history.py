"""What happened to each model, one line of JSON for each event: in the log, and in `models/<name>/history.jsonl`."""

import json
import logging
import os
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from service.files import locked

logger = logging.getLogger(__name__)

FILE = "history.jsonl"
MAX_BYTES = 256 * 1024
"""Size from which on the older half of the file is dropped."""
SHOWN = 200
"""Events that are shown, at most: the latest."""


@dataclass(frozen=True)
class Event:
    """One step in a model's life."""

    time: str
    """UTC, ISO 8601."""
    event: str
    """`loaded`, `refused`, `unloaded`, `answers`, `canary began`, `shadow began`, `promoted`, `taken back` or `policy
    refused`."""
    version: int | None = None
    reason: str = ""


EVENT = TypeAdapter(Event)


class History:
    """The events of all models. On a store that can not be written, those since the start of this worker.

    Args:
        root: Folder with the models.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recent: dict[str, deque[Event]] = {}

    def add(self, name: str, event: str, version: int | None = None, reason: str = "", *, keep: bool = True) -> None:
        """Log an event, and keep it if it can be kept.

        Args:
            name: The model.
            event: What happened, in a word or two.
            version: To which of its versions.
            reason: Why.
            keep: Whether to write it to the file; of several workers to which the same happens, one does.
        """
        logger.info("%s %s %s%s", name, version or "", event, f": {reason}" if reason else "")
        entry = Event(datetime.now(UTC).isoformat(timespec="milliseconds"), event, version, reason)
        self.recent.setdefault(name, deque(maxlen=SHOWN)).append(entry)
        if keep and self.kept(name):
            try:
                append(self.root / name / FILE, json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            except OSError as error:
                logger.warning("the history of %s can not be written: %s", name, error.strerror)

    def read(self, name: str) -> list[Event]:
        """The latest events of a model, oldest first."""
        try:
            lines = (self.root / name / FILE).read_bytes().splitlines()[-SHOWN:]
        except OSError:
            lines = []
        written = [event for line in lines if (event := parse(line)) is not None]
        return written if self.kept(name) else (written + list(self.recent.get(name, ())))[-SHOWN:]

    def kept(self, name: str) -> bool:
        """Whether a model's events can be written down."""
        return os.access(self.root / name, os.W_OK)


def append(path: Path, line: str) -> None:
    """Add a line, and drop the older half of a file that has become long. A link is not followed."""
    with locked(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            if file.seek(0, os.SEEK_END) > MAX_BYTES:
                file.seek(-MAX_BYTES // 2, os.SEEK_END)
                rest = file.read().partition(b"\n")[2]
                file.truncate(0)
                file.write(rest)
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the disk was full in the middle of a line
                    line = "\n" + line
            file.write(line.encode())


def parse(line: bytes) -> Event | None:
    """One line of the file; None where somebody else has written there."""
    try:
        return EVENT.validate_json(line)
    except ValidationError:
        return None
