"""python -m service: flags → Settings → workers."""

import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # until all is imported: it stays, and looking for rubbish in it would take a tenth of the time

from collections.abc import Sequence

from pydantic import ValidationError

from service.settings import PREFIX, Settings, unknown_variables
from service.workers import serve


def main(argv: Sequence[str]) -> int:
    """Serve until a signal comes. Returns 2 for wrong usage."""
    try:
        settings = Settings.parse(argv)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(map(str, problem["loc"]))  # none where several do not go together
            setting = f"{PREFIX}{name.upper()} (--{name.replace('_', '-')}): " if name else ""
            print(f"{setting}{problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        return 2
    for name in unknown_variables(os.environ):
        print(f"warning: nobody reads the variable {name}; see python -m service --help", file=sys.stderr)
    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
