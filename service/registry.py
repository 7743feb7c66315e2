"""What is loaded: for each model the versions that serve, and which of them answers whom."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from service.errors import ModelError, NotReady, UnknownModel, UnknownVersion, shown
from service.policy import Policy
from service.repository import Repository
from service.serving import Serving
from service.settings import Settings
from service.trial import Trial

LIST_S = 5.0
"""Seconds that the store has to say what is there."""

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: lower-case names."""


class Standing(NamedTuple):
    """How a version stands."""

    name: str
    version: int
    state: Literal["serving", "refused", "available"]
    reason: str = ""
    """Why it is refused."""
    serving: Serving | None = None


@dataclass(frozen=True)
class Model:
    """What serves of one model. Never changed: a change is another Model in its place."""

    default: Serving
    """Answers where a call names no version."""
    versions: Mapping[int, Serving]
    labels: Mapping[str, int]
    """Names of versions that serve."""
    policy: Policy = field(default_factory=Policy)
    trial: Trial | None = None
    """A new version that is tried out beside the default one."""
    canary: Trial | None = None
    """The trial, if its version answers some of the callers."""

    @property
    def state(self) -> tuple[object, ...]:
        """What should be the same in every worker."""
        trial = self.trial and (self.trial.mode, self.trial.candidate.manifest.version, self.trial.plan.share)
        files = [(version, sorted(each.manifest.files.items())) for version, each in sorted(self.versions.items())]
        return self.default.manifest.version, files, sorted(self.labels.items()), trial


class Registry:
    """All versions that serve, by model; and those that were refused, with the reason."""

    def __init__(self, settings: Settings) -> None:
        self.repository = Repository(settings.models)
        self.default_model = settings.default_model
        self.lister = ThreadPoolExecutor(2, thread_name_prefix="lister")
        self.models: dict[str, Model] = {}
        self.refused: dict[tuple[str, int], ModelError] = {}
        self.policies: dict[str, Policy] = {}
        """In force."""
        self.bad_policies: dict[str, ModelError] = {}
        """Policies that can not be read: the one before stays in force."""

    @property
    def serving(self) -> dict[str, Serving]:
        """The version of each model that answers where a call names none."""
        return {name: model.default for name, model in self.models.items()}

    def get(
        self, name: str | None, version: int | None = None, label: str | None = None, headers: Headers = ()
    ) -> Serving:
        """The version that answers.

        Args:
            name: A model; None is the default model.
            version: One version of it; None is the one that the policy says.
            label: Or a version by its label.
            headers: The caller's, by which a canary knows its own callers again.

        Raises:
            UnknownModel: No such model.
            UnknownVersion: The model is there, that version does not serve.
        """
        model = self.models.get(name or self.default_model)
        if model is None:
            raise self.unknown(name or self.default_model)
        if version is None and label is None:
            if model.canary is not None and model.canary.picks(headers):
                return model.canary.candidate
            return model.default
        serving = model.versions.get(model.labels.get(label, 0) if version is None and label else version or 0)
        if serving is None:
            raise unknown_version(model, version, label)
        return serving

    def unknown(self, name: str) -> UnknownModel:
        return UnknownModel(
            "no such model",
            expected=f"one of: {', '.join(self.models)}" if self.models else "one that serves; none does",
            found=shown(name),
            fix="see GET /models",
        )

    async def listed(self, only: str | None = None) -> list[Standing]:
        """`standings`, beside the loop: storage may hang, and nobody else's answer has to wait for it.

        Raises:
            NotReady: It does not answer.
        """
        try:
            async with asyncio.timeout(LIST_S):
                return await asyncio.get_running_loop().run_in_executor(self.lister, self.standings, only)
        except TimeoutError:
            raise NotReady("the folder with the models does not answer", fix="see to its storage") from None

    def standings(self, only: str | None = None) -> list[Standing]:
        """Every version in the store, or of one model, by name and number."""
        names = sorted({*self.repository.names(), *self.models}) if only is None else [only]
        return [each for name in names for each in self.standings_of(name)]

    def standings_of(self, name: str) -> Iterator[Standing]:
        model = self.models.get(name)
        serving = model.versions if model else {}
        for version in sorted({*self.repository.versions(name), *serving}):
            if version in serving:
                yield Standing(name, version, "serving", serving=serving[version])
            elif (error := self.refused.get((name, version))) is not None:
                yield Standing(name, version, "refused", error.reason)
            else:
                yield Standing(name, version, "available")

    def forget_refused(self, name: str, known: set[int]) -> None:
        """Let go of the reasons of versions that are not there any more."""
        for model, version in list(self.refused):
            if model == name and version not in known:
                del self.refused[model, version]

    def everything(self) -> Iterator[Serving]:
        """Every version of every model that serves."""
        for model in list(self.models.values()):
            yield from model.versions.values()

    @property
    def digest(self) -> int:
        """A number that is the same in all workers that serve the same."""
        return zlib.crc32(repr(sorted((name, model.state) for name, model in self.models.items())).encode())


def unknown_version(model: Model, version: int | None, label: str | None) -> UnknownVersion:
    name = model.default.manifest.name
    if version is None:
        there = ", ".join(sorted(model.labels)) or "no label"
        return UnknownVersion("no such label", expected=f"{name} has: {there}", found=shown(label))
    return UnknownVersion(
        "that version does not serve",
        expected=f"{name} {', '.join(map(str, sorted(model.versions)))}",
        found=str(version)[:40],
        fix="see GET /models, or leave the version out",
    )
