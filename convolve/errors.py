"""What can go wrong on the way to an answer.

ConvolveError
├── Unreadable    a picture on this side that can not be sent
├── Unreachable   nobody answered, or not in time
├── BadAnswer     somebody answered, but not as Convolve does
└── Problem       the server refused, and says what was expected, what it found, and how to fix it
"""


class ConvolveError(Exception):
    """The family.

    Args:
        message: What happened, in one line.
        request_id: The call's `X-Request-ID`; the server's log has it too. Empty where no call was made.
    """

    def __init__(self, message: str, *, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class Unreadable(ConvolveError):
    """A picture on this side that can not be sent: no such file, or nothing that can be one."""


class Unreachable(ConvolveError):
    """Nobody answered, or not in time."""


class BadAnswer(ConvolveError):
    """Somebody answered, but not as Convolve does."""


class Problem(ConvolveError):
    """The server refused: problem details, RFC 9457.

    Args:
        status: The HTTP status.
        kind: Which problem: `queue-full`, `unsupported-picture`, `unknown-model` and so on; empty where HTTP itself
            is the matter.
        title: `kind` in words.
        detail: What happened.
        expected: What would have been right.
        found: What there was instead.
        fix: The next thing to try.
        retry_after_s: Seconds after which to come back, where the server says so.
    """

    def __init__(
        self,
        *,
        status: int,
        kind: str = "",
        title: str = "",
        detail: str = "",
        expected: str = "",
        found: str = "",
        fix: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        said = (
            ("", detail or title or f"status {status}"),
            ("expected: ", expected),
            ("found: ", found),
            ("fix: ", fix),
        )
        super().__init__("; ".join(word + text for word, text in said if text), request_id=request_id)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.expected = expected
        self.found = found
        self.fix = fix
        self.retry_after_s = retry_after_s
