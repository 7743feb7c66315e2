"""Routes that change what serves. Closed without a token; an answer means that every worker has followed."""

from typing import Annotated, Any, Self, TypeVar

from fastapi import APIRouter, Depends, Path, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from service import bodies
from service.access import authorise
from service.api.operations import SharedDep, describe
from service.api.schemas.operations import ModelDetails
from service.api.schemas.reference import content
from service.api.schemas.refusals import REFUSED
from service.claims import Claim
from service.errors import BadBody, FeedbackOff, shown, wanted
from service.manifest import NUMBERED, VERSION
from service.state import Shared

TOKEN = HTTPBearer(auto_error=False, description="CONVOLVE_ADMIN_TOKEN of the server.")
"""Tells the document only: `authorise` is who looks."""

router = APIRouter(
    tags=["admin"],
    dependencies=[Depends(TOKEN), Depends(authorise)],
    responses=dict.fromkeys((400, 401, 403, 404, 409, 504, 507), REFUSED),
)
Body = TypeVar("Body", bound=BaseModel)
OTHER_FORM = {"json_invalid", "model_type", "extra_forbidden", "missing"}
"""What Pydantic calls a body that has not the fields of its form."""


def read_number(text: str) -> str:
    """A version in a path, written as its folder is: 1, and not 01 or 1.0."""
    if not VERSION.fullmatch(text):
        raise ValueError(NUMBERED)
    return text


Version = Annotated[int, BeforeValidator(read_number), Path(ge=1, le=999_999_999)]


class Target(BaseModel):
    """Which version to promote: by number or by label."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, strict=True, ge=1, le=999_999_999)
    label: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def names_one(self) -> Self:
        if (self.version is None) == (self.label is None):
            raise ValueError("either a version or a label")
        return self


class Correction(BaseModel):
    """What somebody says of a picture that was answered."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=128, description="`X-Request-ID` of the answer.")
    picture: int = Field(0, strict=True, ge=0, description="Its place in the call, from 0 on; bad ones count.")
    label: str | None = Field(None, max_length=200, description="The right class; without one, it is only flagged.")


def asked(form: type[BaseModel]) -> dict[str, Any]:
    """What the OpenAPI document says of a small JSON body, and of one that does not come in as it should."""
    body = {"requestBody": {"required": True, "content": content(form)}}
    return {"openapi_extra": body, "responses": dict.fromkeys((408, 413, 415, 503), REFUSED)}


@router.post("/models/{name}/load", response_model_exclude_none=True)
async def load_model(name: str, shared: SharedDep) -> ModelDetails:
    """Look at the model's folder at once; bring the model back if it was unloaded."""
    await shared.control.load(name)
    return await describe(shared, name)


@router.post("/models/{name}/unload", response_model_exclude_none=True)
async def unload_model(name: str, shared: SharedDep) -> ModelDetails:
    """Take all versions out of service. What is in flight is answered."""
    await shared.control.unload(name)
    return await describe(shared, name)


@router.post("/models/{name}/versions/{version}/load", response_model_exclude_none=True)
async def load_version(name: str, version: Version, shared: SharedDep) -> ModelDetails:
    """Load a version that the policy does not name."""
    await shared.control.load(name, version)
    return await describe(shared, name)


@router.post("/models/{name}/versions/{version}/unload", response_model_exclude_none=True)
async def unload_version(name: str, version: Version, shared: SharedDep) -> ModelDetails:
    """Take a version out of service until it is loaded again. What is in flight is answered."""
    await shared.control.unload(name, version)
    return await describe(shared, name)


@router.post("/models/{name}/promote", response_model_exclude_none=True, **asked(Target))
async def promote(name: str, request: Request, shared: SharedDep) -> ModelDetails:
    """Let a version answer wherever a call names none. The one before stays loaded, to go back to."""
    target = await read(request, shared, Target)
    version = target.version or shared.registry.get(name, label=target.label).manifest.version
    await shared.control.promote(name, version)
    return await describe(shared, name)


@router.post("/models/{name}/rollback", response_model_exclude_none=True)
async def rollback(name: str, shared: SharedDep) -> ModelDetails:
    """Take back the version on trial; without a trial, the one that answers: the one before answers again."""
    await shared.control.rollback(name)
    return await describe(shared, name)


@router.post("/feedback", tags=["feedback"], status_code=204, **asked(Correction))
async def feedback(request: Request, shared: SharedDep) -> None:
    """Keep a picture that was answered, with its right class or as flagged, to train on."""
    if shared.feedback is None:
        raise FeedbackOff(
            "no pictures are kept on this server",
            expected="a server with a folder for feedback",
            found="none is set",
            fix="start the server with CONVOLVE_FEEDBACK",
        )
    said = await read(request, shared, Correction)
    await shared.feedback.take(Claim(said.request_id, said.picture, said.label))


async def read(request: Request, shared: Shared, form: type[Body]) -> Body:
    """A small JSON body.

    Raises:
        BadBody: Another form.
        Otherwise as `bodies.read_inflated`.
    """
    try:
        return form.model_validate_json(await bodies.read_inflated(request, shared.settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        expected = wanted(first["msg"])
        if first["type"] in OTHER_FORM:
            expected = f"a JSON object with {', '.join(form.model_fields)}"
        raise BadBody(f"{where} is not understood", expected=expected, found=shown(first["input"])) from None
