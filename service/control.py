"""What people ask of a model's life, and what a trial decides: the policy is changed, and every worker follows.

An answer means that it is done everywhere.
"""

import asyncio
import errno
import logging
import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from service import policy
from service.errors import (
    BadPolicy,
    ModelError,
    NotEverywhere,
    NothingBefore,
    PolicyRefused,
    ReadOnlyStore,
    ServiceError,
    StoreFull,
    UnknownVersion,
    VersionRefused,
)
from service.history import Event
from service.lifecycle import Lifecycle
from service.policy import PREVIOUS, STABLE, Plan, Policy
from service.registry import Registry
from service.tally import forget_gauges
from service.trial import Began
from service.verdict import Numbers, Verdict, judge

logger = logging.getLogger(__name__)

WAIT_S = 0.01
"""Between two looks whether every worker has followed."""
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
GONE = {errno.ENOENT, errno.ENOTDIR}


class Judged(NamedTuple):
    """A trial, and what the numbers say of it."""

    plan: Plan
    mode: Literal["canary", "shadow"]
    stable: int
    candidate: int
    verdict: Verdict

    def settle(self, old: Policy) -> Policy:
        """The policy after it; as it was, where somebody else has ended that trial meanwhile."""
        going_on = (self.plan, self.mode, self.stable) == (old.trial, old.mode, old.labels.get(STABLE))
        if not (going_on and old.serve) or self.candidate in old.never:
            return old
        if self.verdict.outcome == "promoted":
            return old.promoted(self.candidate, self.stable)
        return old.taken_back(self.candidate)


class Control:
    """Changes what serves, in all workers.

    Args:
        lifecycle: What follows the store in this worker.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.registry: Registry = lifecycle.registry
        self.settings = lifecycle.settings
        self.board = lifecycle.board
        self.watching: asyncio.Task[None] | None = None
        self.alike = time.monotonic()
        """When all workers were last seen to serve the same; infinite as soon as it was said that they do not."""

    def start(self) -> None:
        """Decide about trials. Of several workers, one does."""
        self.watching = asyncio.create_task(self.watch())

    def close(self) -> None:
        if self.watching is not None:
            self.watching.cancel()

    async def load(self, name: str, version: int | None = None) -> None:
        """Look at a model's folder at once; with a version, load that one although its policy may not name it.

        Raises:
            UnknownModel: No such model, or no such version of it.
            VersionRefused: It does not keep its promises; nothing has changed.
            PolicyRefused: The policy can not be read, or would make no sense.
            ReadOnlyStore, StoreFull: It can not be written.
            NotEverywhere: Done, but a worker has not followed in time.
        """
        await self.find(name, version)
        if version is not None:
            await self.try_out(name, version)
        if version is not None or not self.registry.policies.get(name, Policy()).serve:
            await self.change(name, lambda old: old.loaded(version))
        else:
            await self.spread()
        if name not in self.registry.models:
            raise self.nothing_serves(name)

    def nothing_serves(self, name: str) -> VersionRefused:
        reasons = [error.reason for (model, _), error in self.registry.refused.items() if model == name]
        return VersionRefused(
            "no version of this model can serve",
            expected="one that keeps its promises, and that the policy wants",
            found="; ".join(reasons[:3]) or "a policy that wants none of them",
            fix="see GET /models",
        )

    async def unload(self, name: str, version: int | None = None) -> None:
        """Take a version, or a whole model, out of service until it is loaded again; what is in flight is answered.

        Raises: As `load`.
        """
        await self.find(name, version)
        await self.change(name, lambda old: old.unloaded(version))

    async def promote(self, name: str, version: int) -> None:
        """Let a version answer wherever a call names none. The one before stays loaded. Raises as `load`."""
        await self.find(name, version)
        await self.try_out(name, version)
        before = self.answering(name)
        await self.change(name, lambda old: old.promoted(version, before), ("promoted", version, "by hand"))

    async def rollback(self, name: str) -> int:
        """Take back the version that is on trial; without a trial, the one that answers.

        Returns:
            The version that was taken back.

        Raises:
            NothingBefore: There is no trial, and no version that answered before.
            Otherwise as `load`.
        """
        version = self.going_back_from(name)
        await self.change(name, lambda old: old.taken_back(version), ("taken back", version, "by hand"))
        return version

    # Whoever holds a version while it waits would wait for itself: these give its number only.

    def answering(self, name: str) -> int | None:
        """The version that answers where a call names none."""
        model = self.registry.models.get(name)
        return model.default.manifest.version if model else None

    def going_back_from(self, name: str) -> int:
        """The version that is taken back next."""
        model = self.registry.models.get(name)
        if model is None:
            raise self.registry.unknown(name)
        if model.trial is not None:
            return model.trial.candidate.manifest.version
        if PREVIOUS not in model.labels:
            raise NothingBefore(
                "there is nothing to go back to",
                expected="a version on trial, or the label `previous`",
                found=", ".join(sorted(model.labels)) or "no labels",
                fix="promote the version that should answer",
            )
        # Where the stable one does not serve, another answers in its place.
        return model.policy.labels.get(STABLE, model.default.manifest.version)

    async def events(self, name: str) -> list[Event]:
        """The latest events of a model, oldest first."""
        await self.find(name)
        return await self.lifecycle.loader.run(lambda: self.lifecycle.history.read(name))

    async def find(self, name: str, version: int | None = None) -> None:
        """See that a model, or a version, is there.

        Raises:
            UnknownModel, UnknownVersion: It is not.
        """
        model = self.registry.models.get(name)
        there = await self.lifecycle.loader.run(lambda: self.lifecycle.repository.versions(name))
        versions = {*there, *(model.versions if model else ())}
        if not versions:
            raise self.registry.unknown(name)
        if version is not None and version not in versions:
            raise UnknownVersion(
                "no such version",
                expected=f"one of: {', '.join(map(str, sorted(versions)))}",
                found=str(version)[:40],
                fix="see GET /models",
            )

    async def try_out(self, name: str, version: int) -> None:
        """Load a version aside, so that a policy that names it can be kept.

        Raises:
            VersionRefused: It does not keep its promises.
        """
        try:
            await self.lifecycle.put_aside(name, version)
        except ModelError as error:
            raise refused(error) from error

    async def change(
        self, name: str, edit: Callable[[Policy], Policy], told: tuple[str, int, str] | None = None
    ) -> None:
        """Edit a model's policy, and see that every worker has followed.

        Args:
            name: The model.
            edit: The policy as it is → as it shall be.
            told: Event, version and reason to put on record, before what follows from it; nothing if nothing changes.

        Raises:
            PolicyRefused: It can not be read, or would make no sense.
            ReadOnlyStore, StoreFull: It can not be written.
            NotEverywhere: A worker has not followed in time.
        """

        def write() -> None:
            if policy.change(self.settings.models / name, edit) and told:
                self.lifecycle.history.add(name, *told)

        try:
            await self.lifecycle.loader.run(write)
        except BadPolicy as error:
            raise PolicyRefused(
                "the model's policy stands in the way",
                expected=error.expected,
                found=f"{error.field}: {error.found}" if error.field else error.found,
                fix="end the trial first if there is one, or mend policy.json; see GET /models/NAME",
            ) from error
        except OSError as error:
            raise unwritable(error) from error
        await self.spread()

    async def spread(self) -> None:
        """See that every worker has looked at the store, and serves the same.

        Raises:
            NotEverywhere: It takes too long.
        """
        asked = self.board.ask()
        await self.lifecycle.refresh()
        end = time.monotonic() + self.settings.apply_s
        tally = self.lifecycle.metrics.tally
        while not self.board.everywhere(asked):
            if tally is not None:
                for dead in self.board.bury(tally.folder):
                    forget_gauges(tally.folder, dead)
            if time.monotonic() > end:
                raise NotEverywhere(
                    "the change is written, but a worker has not followed yet",
                    expected=f"every worker within {self.settings.apply_s:g} s (apply_s)",
                    fix="see GET /models and the log, and ask again",
                )
            await asyncio.sleep(WAIT_S)

    async def watch(self) -> None:
        """Look at the other workers, and at the numbers of every trial, again and again."""
        while True:
            await asyncio.sleep(self.settings.poll_s)
            try:
                if self.board.first:
                    self.compare()
                    await self.decide()
            except Exception:
                logger.exception("no decision about the trials; the next try comes in %g s", self.settings.poll_s)

    def compare(self) -> None:
        """Say it, once, where the workers have served different versions for longer than a change takes.

        Of a version whose folder has gone, a worker that takes another's place knows nothing, and the others answer on.
        """
        now = time.monotonic()
        if (tally := self.lifecycle.metrics.tally) is not None:
            for dead in self.board.bury(tally.folder):
                forget_gauges(tally.folder, dead)
        if self.board.everywhere(self.board.total):
            self.alike = now
        elif now > self.alike + self.settings.apply_s:
            self.alike = math.inf
            logger.warning("the workers do not serve the same: bring back the folders that are gone, or start anew")

    async def decide(self) -> None:
        """Promote, or take back, whatever has been on trial for long enough."""
        for name in list(self.registry.models):
            if (judged := await self.judge(name)) is not None:
                await self.carry_out(name, judged)

    async def judge(self, name: str) -> Judged | None:
        """What the numbers of all workers say of a trial since it began."""
        model = self.registry.models.get(name)
        trial = model and model.trial
        if not trial or (trial.plan.promote is None and trial.plan.rollback is None):
            return None
        series = await self.lifecycle.loader.run(self.lifecycle.metrics.numbers)
        versions = trial.stable.manifest.version, trial.candidate.manifest.version
        stable, candidate = (Numbers.of(series, name, version) for version in versions)
        if trial.began is None:
            trial.began = Began(time.monotonic(), candidate, stable)
        began = trial.began
        seconds = time.monotonic() - began.at
        verdict = judge(trial.plan, candidate - began.candidate, stable - began.stable, seconds)
        return verdict and Judged(trial.plan, trial.mode, *versions, verdict)

    async def carry_out(self, name: str, judged: Judged) -> None:
        """Promote the version on trial, or take it back."""
        version, (outcome, reason) = judged.candidate, judged.verdict
        try:
            await self.change(name, judged.settle, (outcome, version, reason))
        except ServiceError as error:
            logger.error("%s %d should be %s (%s), but: %s", name, version, outcome, reason, error)


def refused(error: ModelError) -> VersionRefused:
    """What a caller gets to know of it; the folder's place on this machine is nobody's business."""
    return VersionRefused("this can not serve", expected=error.expected, found=error.reason, fix="see GET /models")


def unwritable(error: OSError) -> ServiceError:
    if error.errno in READ_ONLY:
        return ReadOnlyStore(
            "the folder with the models can not be written",
            expected="a store that this server may write",
            found="a read-only one",
            fix="change policy.json where the store comes from: it is noticed within a second",
        )
    if error.errno in GONE:
        return ReadOnlyStore(
            "the model's folder is gone",
            expected="a folder in which its policy can be written",
            found="none",
            fix="put it back; its versions answer until then, or until the server starts anew",
        )
    logger.error("the policy can not be written: %s", error)
    return StoreFull("the policy can not be written")
