"""Routes for those who run the service: models, health, metrics and the documentation."""

from dataclasses import asdict
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from service.api.schemas.operations import (
    History,
    HistoryEvent,
    Model,
    ModelDetails,
    Models,
    NoveltyState,
    TrialState,
)
from service.api.schemas.refusals import REFUSED
from service.metrics import CONTENT_TYPE
from service.policy import Policy
from service.registry import Standing
from service.state import Shared

router = APIRouter()

METRICS = CONTENT_TYPE.partition(";")[0]
TEXT = {"schema": {"type": "string"}}


async def get_shared(request: Request) -> Shared:
    shared: Shared = request.state.shared
    return shared


SharedDep = Annotated[Shared, Depends(get_shared)]


@router.get("/models", tags=["models"], response_model_exclude_none=True)
async def list_models(shared: SharedDep) -> Models:
    """Every version in the store: which serve, which were refused and why."""
    return Models(models=[show(each) for each in await shared.registry.listed()])


@router.get("/models/{name}", tags=["models"], response_model_exclude_none=True, responses={404: REFUSED})
async def show_model(name: str, shared: SharedDep) -> ModelDetails:
    """One model: its versions, their labels, and the policy in force."""
    return await describe(shared, name)


@router.get("/models/{name}/history", tags=["models"], responses={404: REFUSED})
async def show_history(name: str, shared: SharedDep) -> History:
    """What happened to a model: versions loaded, refused, tried out, promoted, taken back."""
    events = await shared.control.events(name)
    return History(events=[HistoryEvent(**asdict(event)) for event in events])


async def describe(shared: Shared, name: str) -> ModelDetails:
    """One model as it is now. Errors as in `Control.find`."""
    await shared.control.find(name)
    registry = shared.registry
    model = registry.models.get(name)
    trial = model.trial if model else None
    bad_policy = registry.bad_policies.get(name)
    return ModelDetails(
        name=name,
        version=model.default.manifest.version if model else None,
        labels=dict(model.labels) if model else {},
        trial=TrialState(mode=trial.mode, version=trial.candidate.manifest.version, share=trial.plan.share)
        if trial
        else None,
        policy=registry.policies.get(name, Policy()),
        policy_refused=bad_policy.reason if bad_policy else None,
        versions=[show(each) for each in await registry.listed(name)],
    )


def show(found: Standing) -> Model:
    """One version."""
    name, version, state, reason, serving = found
    if serving is None:
        return Model(name=name, version=version, state=state, reason=reason or None)
    manifest = serving.manifest
    novelty = manifest.novelty
    return Model(
        name=name,
        version=version,
        state=state,
        labels=list(manifest.labels),
        input={
            "name": manifest.input.name,
            "shape": list(manifest.input.shape),
            "dtype": manifest.input.dtype,
            "range": list(manifest.input.range),
            "polarity": manifest.input.polarity,
            "preparation": manifest.input.preparation,
        },
        parameters=manifest.parameters,
        accuracy=dict(manifest.accuracy),
        novelty=NoveltyState(threshold=novelty.threshold, flagged=dict(novelty.flagged)) if novelty else None,
        engine=serving.engine.name,
        precision=serving.engine.precision,
    )


@router.get("/health/live", tags=["health"])
async def live() -> dict[str, str]:
    """Whether this process answers at all."""
    return {"status": "live"}


@router.get("/health/ready", tags=["health"], responses={503: REFUSED})
async def ready(shared: SharedDep) -> dict[str, str]:
    """Whether calls should be sent here: the default model has answered rightly, and we are not going down."""
    manifest = shared.ready().manifest
    return {"status": "ready", "model": manifest.name, "version": str(manifest.version)}


@router.get("/metrics", tags=["metrics"], response_class=Response, responses={200: {"content": {METRICS: TEXT}}})
def metrics(shared: SharedDep) -> Response:
    """All series of all workers, for Prometheus."""
    return Response(shared.metrics.page(), media_type=CONTENT_TYPE)


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """The API to read and to try; its scripts come from here, so it works offline."""
    api: FastAPI = request.app
    return get_swagger_ui_html(
        # As the rest, it is found wherever a proxy has put this server.
        openapi_url=str(api.openapi_url).lstrip("/"),
        title=api.title,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon-32x32.png",
    )


@router.get("/docs/", include_in_schema=False)
def docs_folder() -> RedirectResponse:
    """The same: its files are found from there."""
    return RedirectResponse("../docs")


def mount_files(api: FastAPI) -> None:
    """Files of the documentation."""
    api.mount("/docs", StaticFiles(directory=str(files("fastapi_swagger") / "resources")))
