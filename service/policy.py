"""The contract of `models/<name>/policy.json`: which versions of a model serve, and who tries out a new one.

    {
      "versions": "latest",                  or {"latest": 2}, "all", [1, 3]
      "labels": {"stable": 2, "previous": 1},
      "canary": {"version": "latest", "share": 0.1,
                 "promote": {"pictures": 10000, "seconds": 3600, "agreement": 0.99},
                 "rollback": {"pictures": 200, "agreement": 0.95, "failures": 0.01}}
    }

Without the file, the newest version serves. Whoever writes it does so under a lock, and it appears whole or not at all.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.errors import BadPolicy, shown, wanted
from service.files import locked, whole

FILE = "policy.json"
MAX_BYTES = 64 * 1024
"""A policy is a few lines; a larger file is something else."""
STABLE = "stable"
"""The label of the version that answers where a call names none."""
PREVIOUS = "previous"
"""The label of the version that answered before: it stays loaded, so that taking back takes no time."""

TRIED = 'a version or "latest"'
CHOICES = {
    "versions": '"latest", "all", {"latest": how many} or a list of versions',
    "canary.version": TRIED,
    "shadow.version": TRIED,
}
"""What a field that takes several kinds of things takes."""

Version = Annotated[int, Field(strict=True, ge=1, le=999_999_999)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]
Stamp = tuple[int, ...]
Share = Annotated[float, Field(gt=0, le=1)]


class Contract(BaseModel):
    """Frozen; what it does not know, it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)  # JSON could not say these


class Latest(Contract):
    latest: int = Field(strict=True, ge=1, le=64, description="How many of the newest versions.")


class Gate(Contract):
    """When a version on trial is promoted (all limits kept) or taken back (one of them broken)."""

    pictures: int = Field(
        default=1000, strict=True, ge=1, description="Pictures that it must have answered before anything is decided."
    )
    seconds: float = Field(default=0, ge=0, description="Seconds that it must have been on trial.")
    agreement: Share | None = Field(
        default=None,
        description="Least share of compared pictures for which it finds the class that the stable one finds.",
    )
    failures: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Greatest share of its batches that fail."
    )
    confidence: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Greatest amount by which its mean confidence may lie below the stable one's."
    )
    slowdown: Annotated[float, Field(ge=1)] | None = Field(
        default=None,
        description="Greatest factor by which a picture's mean time, queue and network, may exceed the stable one's.",
    )

    @property
    def limited(self) -> bool:
        """Whether it sets any limit."""
        return any(limit is not None for limit in (self.agreement, self.failures, self.confidence, self.slowdown))


class Plan(Contract):
    """How a new version is tried out beside the stable one."""

    version: Version | Literal["latest"] = Field(
        description="One version; `latest` tries out whatever comes after the stable one, again and again."
    )
    share: Share = Field(
        default=1.0,
        description="Share of the callers that it answers (canary), or of the answers that are compared (shadow).",
    )
    promote: Gate | None = Field(
        default=None, description="When it becomes stable by itself; None leaves that to people."
    )
    rollback: Gate | None = Field(default=None, description="When it is taken back by itself.")

    @model_validator(mode="after")
    def rollback_has_a_limit(self) -> Self:
        if self.rollback is not None and not self.rollback.limited:
            raise ValueError("rollback sets no limit: agreement, failures, confidence or slowdown")
        return self


class Policy(Contract):
    """What serves of one model."""

    serve: bool = Field(
        default=True, description="False unloads the whole model, and keeps the rest of the policy for its return."
    )
    versions: Literal["latest", "all"] | Latest | list[Version] = Field(
        default="latest", description="Which versions serve. Those that a label or a trial names serve as well."
    )
    also: frozenset[Version] = Field(default=frozenset(), description="Versions that were loaded by hand.")
    never: frozenset[Version] = Field(
        default=frozenset(), description="Versions that were unloaded by hand, or taken back."
    )
    labels: dict[Label, Version] = Field(
        default={},
        max_length=64,
        description="Names of versions. `stable` answers where a call names no version; without it, the newest does.",
    )
    canary: Plan | None = Field(default=None, description="Answers a share of the callers who name no version.")
    shadow: Plan | None = Field(
        default=None, description="Is asked as well, and never heard: its answers are compared only."
    )
    float_pixels: Literal["raw", "unit"] = Field(
        default="raw", description="What pixels with fractions mean: nothing (refused), or pixels / 255."
    )

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        if self.canary is not None and self.shadow is not None:
            raise ValueError("canary and shadow: one version is tried out at a time, in one of the two ways")
        if self.trial is not None and STABLE not in self.labels:
            raise ValueError("a canary or shadow needs the label `stable`: the version that it is compared with")
        return self

    @property
    def trial(self) -> Plan | None:
        """The canary or the shadow."""
        return self.canary or self.shadow

    @property
    def mode(self) -> Literal["canary", "shadow"]:
        """Which of the two it is."""
        return "shadow" if self.shadow is not None else "canary"

    @property
    def named(self) -> set[int]:
        """Versions that it wants by their number."""
        trial = {self.trial.version} if self.trial is not None and self.trial.version != "latest" else set()
        return {*self.labels.values(), *trial, *(self.versions if isinstance(self.versions, list) else ())}

    def wanted(self, known: Collection[int]) -> set[int]:
        """Which of the known versions should serve."""
        allowed = sorted(set(known) - self.never)
        match self.versions:
            case "all":
                wanted = set(allowed)
            case "latest":
                wanted = set(allowed[-1:])
            case Latest(latest=count):
                wanted = set(allowed[-count:])
            case listed:
                wanted = set(listed)
        wanted |= self.also | set(self.labels.values())
        if (candidate := self.candidate(known)) is not None:
            wanted.add(candidate)
        return wanted.intersection(allowed) if self.serve else set()

    def candidate(self, known: Collection[int]) -> int | None:
        """The version that is on trial, if there is one."""
        if self.trial is None:
            return None
        stable = self.labels[STABLE]
        if self.trial.version != "latest":
            version = self.trial.version
            return version if version in known and version != stable and version not in self.never else None
        return max((version for version in known if version > stable and version not in self.never), default=None)

    def loaded(self, version: int | None) -> "Policy":
        """The policy with one more version, or with the model back as it was."""
        if version is None:
            return self.changed(serve=True)
        return self.changed(serve=True, also=self.also | {version}, never=self.never - {version})

    def unloaded(self, version: int | None) -> "Policy":
        """The policy without a version, or with the whole model put away."""
        if version is None:
            return self.changed(serve=False)
        labels = {label: named for label, named in self.labels.items() if named != version}
        return self.changed(also=self.also - {version}, never=self.never | {version}, labels=labels)

    def promoted(self, version: int, before: int | None) -> "Policy":
        """The policy with `version` as the one that answers; `before` did so until now, None where nothing does."""
        before = self.labels.get(STABLE) if before is None else before
        labels = {**self.labels, STABLE: version}
        if before is not None and before != version:
            labels[PREVIOUS] = before
        elif labels.get(PREVIOUS) == version:
            del labels[PREVIOUS]
        return self.changed(serve=True, labels=labels, never=self.never - {version}, **self.trial_over(version))

    def taken_back(self, version: int) -> "Policy":
        """The policy without a version that was on trial or stable. The previous one, if known, answers again."""
        labels = {label: named for label, named in self.labels.items() if named != version}
        if self.labels.get(STABLE) == version and PREVIOUS in labels:
            labels[STABLE] = labels.pop(PREVIOUS)
        return self.changed(
            labels=labels, also=self.also - {version}, never=self.never | {version}, **self.trial_over(version)
        )

    def trial_over(self, version: int) -> dict[str, None]:
        """A trial of that one version ends with it; one of whatever comes waits for the next."""
        return {self.mode: None} if self.trial is not None and self.trial.version == version else {}

    def changed(self, **fields: object) -> "Policy":
        return Policy.model_validate({**self.model_dump(exclude_unset=True), **fields})


def read(folder: Path) -> Policy:
    """The policy of the model in `folder`; without a file, the one that says nothing.

    Raises:
        BadPolicy: Names the field, what was expected and what was found.
    """
    path = folder / FILE
    try:
        if path.is_symlink() or path.stat().st_size > MAX_BYTES:
            raise BadPolicy(f"{path} is not a policy", expected=f"a plain file of at most {MAX_BYTES:,} bytes")
        return Policy.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Policy()
    except OSError as error:
        raise BadPolicy(f"{path} can not be read", expected="a file", found=str(error.strerror)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field, expected = ".".join(map(str, first["loc"])) or "(the whole file)", wanted(first["msg"])
        for name, choice in CHOICES.items():
            if f"{field}.".startswith(f"{name}."):
                field, expected = name, choice
        found = shown(first["input"], 120)
        raise BadPolicy(f"{path}: {field}", field=field, expected=expected, found=found) from None


def stamp(folder: Path) -> Stamp:
    """Changes whenever the policy in `folder` does."""
    try:
        found = (folder / FILE).lstat()
    except OSError:
        return ()
    # The last is set by the system alone: who copies may keep the others.
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


def change(folder: Path, edit: Callable[[Policy], Policy]) -> bool:
    """Read the policy in `folder`, and write it back edited. Of several who do so, one comes after the other.

    Returns:
        Whether it has become another.

    Raises:
        BadPolicy: The one that is there can not be read, or the edited one makes no sense.
        OSError: It can not be written; the old one is as it was.
    """
    with locked(folder):
        old = read(folder)
        try:
            new = edit(old)
        except ValidationError as error:
            raise BadPolicy("the policy would make no sense", expected=wanted(error.errors()[0]["msg"])) from None
        if new != old:
            write(folder, new)
        return new != old


def write(folder: Path, policy: Policy) -> None:
    """Replace the policy in `folder`: whoever reads sees the old one or the new one."""
    with whole(folder / FILE) as file:
        file.write(policy.model_dump_json(indent=2, exclude_defaults=True).encode() + b"\n")
