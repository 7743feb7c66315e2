"""An ASGI extension of our own: an answer that is there as a whole goes out at once, instead of in ASGI's two messages.

They are looked through once more by whoever sends them, which costs a twenty-fifth of a small request.
"""

from collections.abc import Callable

from starlette.types import Scope

WHOLE = "convolve.whole"
"""Its name in `scope["extensions"]`, where its function is called `send`; a server without it gets the messages."""

Whole = Callable[[Scope, list[tuple[bytes, bytes]], bytes], bool]
"""Takes the request's scope, headers (their names in lower case, all of them valid, the length among them) and the body
of an answer of status 200. Says whether it has sent them: where it has not, the messages are to be sent.
"""
