"""What is answered instead: problem details on our own routes, one line on those of the dialects of others."""

from pydantic import BaseModel, Field

from service.api.schemas.reference import content


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str = Field(examples=["urn:convolve:problem:unsupported-picture"])
    title: str
    status: int
    detail: str
    expected: str | None = None
    found: str | None = None
    fix: str | None = None


class Status(BaseModel):
    """Something went wrong: one line that says what was expected, what was found, and how to fix it."""

    error: str


REFUSED = {
    "description": "What was expected, what was found, and how to fix it.",
    "content": content(Problem, "application/problem+json"),
}
FAILED = {
    "description": "What was expected, what was found, and how to fix it.",
    "content": content(Status),
}
