"""A model's life: what serves follows what lies in the store, and what its policy says.

Every worker looks for itself, once in a while and whenever another one asks it to. New versions are loaded aside, in a
thread, and take over in one assignment; old ones end when the last request has let go of them.
"""

import asyncio
import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from service import policy
from service.board import Board
from service.engines import Engine
from service.errors import BadPolicy, ModelError
from service.history import History
from service.loader import Loader, passes
from service.manifest import NAMED, NUMBERED, Manifest
from service.metrics import Metrics
from service.policy import PREVIOUS, STABLE, Policy
from service.registry import Model, Registry
from service.serving import Serving
from service.settings import Settings
from service.trial import Trial

logger = logging.getLogger(__name__)

GLANCE_S = 0.05
"""How often a worker looks whether another one has asked it to look at the store."""
CYCLES_S = 1.0
"""After so long, what still holds a version that left may be a cycle of references: an error and its frames."""

News = tuple[str, str, int | None, str]
"""Model, event, version, reason."""


class Sight(NamedTuple):
    """What one model's folder looks like from outside: as long as it stays the same, there is nothing to do."""

    policy: policy.Stamp
    versions: tuple[int, ...]
    refused: dict[int, int]
    """Versions that were refused, with a stamp of their files: a copy that has gone on is tried again."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all: more likely a slip of the storage than a wish."""
        return not self.policy and not self.versions


class Leaving(NamedTuple):
    """A version that takes no new requests."""

    manifest: Manifest
    gone: asyncio.Event
    network: list[Engine]
    """The last that holds it: letting go of it takes a while."""


class Lifecycle:
    """Keeps one worker's registry in line with the store.

    Args:
        settings: Where the store is, and how often to look.
        metrics: Where versions count.
        registry: What serves.
        board: What the workers tell each other.
    """

    def __init__(self, settings: Settings, metrics: Metrics, registry: Registry, board: Board) -> None:
        # Shared
        self.settings = settings
        self.metrics = metrics
        self.registry = registry
        self.board = board
        self.repository = registry.repository
        self.history = History(settings.models)
        self.decoders = ThreadPoolExecutor(2, thread_name_prefix="decoder")
        self.loader = Loader(settings, registry.repository)
        self.polling: asyncio.Task[None] | None = None
        # As of the last look
        self.looked = 0
        self.sights: dict[str, Sight] = {}
        # This look
        self.turn = asyncio.Lock()
        self.leaving: list[Leaving] = []
        self.news: list[News] = []
        self.seeing_off: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load what should serve, then keep an eye on the store."""
        await self.refresh()
        for name in self.repository.misnamed():
            words = "%s: %r is left out for its name; expected for a model %s, and for a version %s"
            logger.warning(words, self.settings.models, name, NAMED, NUMBERED)
        if not self.registry.models:
            logger.warning("no model serves: there is none in %s that can", self.settings.models)
        self.loader.considerate = True
        self.polling = asyncio.create_task(self.poll())

    async def close(self) -> None:
        """Finish what is queued, then let go."""
        for task in (self.polling, self.seeing_off):
            if task is not None:
                task.cancel()
        self.board.leave()
        await asyncio.gather(*(each.batcher.close() for each in self.registry.everything()))
        self.decoders.shutdown(wait=False, cancel_futures=True)
        self.loader.close()

    async def poll(self) -> None:
        """Look at the store again and again."""
        while True:
            await self.due()
            try:
                await self.refresh()
            except Exception:
                logger.exception("looking at the store failed; the next look comes in %g s", self.settings.poll_s)
                await asyncio.sleep(self.settings.poll_s)

    async def due(self) -> None:
        """Wait until it is time to look, or another worker asks for it."""
        end = time.monotonic() + self.settings.poll_s
        while time.monotonic() < end and self.board.total == self.looked:
            await asyncio.sleep(min(GLANCE_S, self.settings.poll_s))

    async def refresh(self) -> None:
        """Bring what serves in line with the store. What leaves is seen off in the background."""
        async with self.turn:
            self.looked = asked = self.board.total
            for name, sight in (await self.loader.run(self.look)).items():
                if sight != self.sights.get(name) and not (sight.empty and name in self.registry.models):
                    await self.renew(name, sight)
                    if not self.slipped(name):
                        self.sights[name] = sight
            self.loader.aside.clear()
            news, self.news = self.news, []
            leaving, self.leaving = self.leaving, []
            if news:
                await self.loader.run(lambda: self.record(news))
            self.seeing_off = asyncio.create_task(self.see_off(leaving, asked, self.seeing_off))

    def record(self, news: list[News]) -> None:
        """Put what happened on record; what happens to all workers, the first of them writes down."""
        for name, event, version, reason in news:
            self.history.add(name, event, version, reason, keep=self.board.first)

    async def put_aside(self, name: str, version: int) -> None:
        """Load a version without letting it answer yet.

        Raises:
            ModelError: It does not keep its promises.
        """
        async with self.turn:
            model = self.registry.models.get(name)
            if model is not None and version in model.versions:
                return
            try:
                await self.loader.put_aside(name, version)
            except ModelError as error:
                self.refuse(name, version, error)
                raise

    # One look

    def look(self) -> dict[str, Sight]:
        """What the store looks like now."""
        names = {*self.repository.names(), *self.registry.models, *self.sights}
        return {name: self.look_at(name) for name in sorted(names)}

    def look_at(self, name: str) -> Sight:
        folder = self.repository.root / name
        return Sight(policy.stamp(folder), tuple(self.repository.versions(name)), self.loader.refused(name))

    async def renew(self, name: str, sight: Sight) -> None:
        """Put another Model in a model's place: what the policy wants of what is there."""
        current = self.registry.models.get(name)
        rules = await self.rules(name)
        loaded = dict(current.versions) if current else {}
        # A version that serves counts as there: a listing that fails, or is empty for a moment, unloads nothing.
        known = {*sight.versions, *loaded}
        self.registry.forget_refused(name, known)
        good = known - self.loader.hopeless(name, sight.refused)
        while missing := rules.wanted(good) - loaded.keys():
            version = max(missing)
            try:
                loaded[version] = await self.bring_up(name, version)
            except ModelError as error:
                self.refuse(name, version, error)
                good.remove(version)
        self.replace(name, rules, {version: loaded[version] for version in rules.wanted(good)}, current)
        self.count(name, known)
        if absent := rules.named - known:
            logger.warning("the policy of %s names versions that are not there: %s", name, sorted(absent))

    def slipped(self, name: str) -> bool:
        """Whether its policy, or a version, could not be read for a reason that may be over at the next look."""
        bad_policy = self.registry.bad_policies.get(name)
        refused = (error for (model, _), error in self.registry.refused.items() if model == name)
        unread = bad_policy is not None and isinstance(bad_policy.__cause__, OSError)
        return unread or any(passes(error.__cause__) for error in refused)

    async def rules(self, name: str) -> Policy:
        """The policy in force: the one on disk, or the last one that could be read.

        A worker that has never read one takes what the others remember. Where nobody does, the model does not serve:
        without its policy, what was taken back would answer again.
        """
        try:
            self.registry.policies[name] = await self.loader.run(lambda: policy.read(self.repository.root / name))
            self.registry.bad_policies.pop(name, None)
            await self.loader.run(lambda: self.remember(name))
        except BadPolicy as error:
            if str(error) != str(self.registry.bad_policies.get(name)):
                logger.error("the policy of %s stays as it was: %s", name, error)
                self.news.append((name, "policy refused", None, error.reason))
            self.registry.bad_policies[name] = error
        self.metrics.policy_valid.labels(name).set(name not in self.registry.bad_policies)
        if name not in self.registry.policies:
            self.registry.policies[name] = await self.loader.run(lambda: self.recall(name))
        return self.registry.policies[name]

    def remember(self, name: str) -> None:
        """Keep the policy in force where a worker that takes the place of another one finds it."""
        if (folder := self.memory(name)) is not None:
            with suppress(OSError):  # where there is no room, only such a worker has to do without
                folder.mkdir(parents=True, exist_ok=True)
                policy.write(folder, self.registry.policies[name])

    def recall(self, name: str) -> Policy:
        """What was remembered of a policy that can not be read; if nothing was, one that lets nothing serve."""
        folder = self.memory(name)
        if folder is None or not (folder / policy.FILE).is_file():
            return Policy(serve=False)
        return policy.read(folder)

    def memory(self, name: str) -> Path | None:
        """Where several workers remember a model's policy together."""
        tally = self.metrics.tally
        return None if tally is None else tally.folder / "policies" / name

    async def bring_up(self, name: str, version: int) -> Serving:
        """A version that is ready to answer.

        Raises:
            ModelError: It does not keep its promises.
        """
        tried = await self.loader.load(name, version)
        self.registry.refused.pop((name, version), None)
        self.metrics.loads.labels(name, "loaded").inc()
        words = f"{tried.engine.name} {tried.engine.precision}, {tried.seconds * 1000:.2f} ms a picture"
        self.news.append((name, "loaded", version, words))
        return Serving(tried, self.settings, self.metrics, self.decoders, self.board)

    def refuse(self, name: str, version: int, error: ModelError) -> None:
        """Remember why a version does not serve."""
        if str(error) != str(self.registry.refused.get((name, version))):
            logger.error("%s %d does not serve: %s", name, version, error)
            self.news.append((name, "refused", version, error.reason))
        self.registry.refused[name, version] = error
        self.metrics.loads.labels(name, "refused").inc()

    # The change, all of it between two turns of the loop

    def replace(self, name: str, rules: Policy, versions: dict[int, Serving], current: Model | None) -> None:
        """Let these versions serve from now on."""
        default = choose(rules, versions, current)
        if default is None:
            self.registry.models.pop(name, None)
        else:
            versions[default.manifest.version] = default
            trial = self.trial(rules, versions, current)
            labels = {label: version for label, version in rules.labels.items() if version in versions}
            if trial is not None:
                labels.setdefault(trial.mode, trial.candidate.manifest.version)
            for each in versions.values():
                each.float_pixels = rules.float_pixels
            canary = trial if trial and trial.mode == "canary" else None
            self.registry.models[name] = Model(default, versions, labels, rules, trial, canary)
            if current is None or current.default is not default:
                self.news.append((name, "answers", default.manifest.version, ""))
        for each in current.versions.values() if current else ():
            if each not in versions.values():
                self.retire(each)

    def trial(self, rules: Policy, versions: dict[int, Serving], current: Model | None) -> Trial | None:
        """The trial that the policy wants; the one that is going on, if it is that one."""
        going_on = current and current.trial
        stable = versions.get(rules.labels.get(STABLE, 0))
        candidate = versions.get(rules.candidate(versions) or 0)
        if going_on and going_on.is_between(stable, candidate, rules.trial, rules.mode):
            return going_on
        if going_on:
            going_on.end()
        if rules.trial is None or stable is None or candidate is None:
            return None
        self.news.append((candidate.manifest.name, f"{rules.mode} began", candidate.manifest.version, ""))
        return Trial(rules.trial, rules.mode, stable, candidate, self.metrics)

    def retire(self, leaving: Serving) -> None:
        """Take a version out of service. Requests that hold it get their answers."""
        manifest = leaving.manifest
        self.metrics.loads.labels(manifest.name, "unloaded").inc()
        self.metrics.unload(manifest, leaving.engine.name, leaving.engine.precision)
        self.news.append((manifest.name, "unloaded", manifest.version, ""))
        self.leaving.append(Leaving(manifest, leaving.let_go(), [leaving.engine]))

    def count(self, name: str, known: set[int]) -> None:
        """Show how many versions are in each state."""
        model = self.registry.models.get(name)
        serving = len(model.versions) if model else 0
        refused = sum(each == name for each, _ in self.registry.refused)
        states = {"serving": serving, "refused": refused, "available": max(len(known) - serving - refused, 0)}
        for state, number in states.items():
            self.metrics.versions.labels(name, state).set(number)

    async def see_off(self, leaving: list[Leaving], asked: int, before: asyncio.Task[None] | None) -> None:
        """Wait for what is in flight on versions that leave; then this worker has followed."""
        if before is not None:
            await before
        for manifest, gone, network in leaving:
            if not await within(gone, CYCLES_S):
                gc.collect()
                await within(gone, self.settings.deadline_ms / 1000)
            await self.loader.run(network.clear)
            if manifest.version not in self.serving_versions(manifest.name):
                self.metrics.forget(manifest)
        self.board.apply(asked, self.registry.digest)

    def serving_versions(self, name: str) -> set[int]:
        model = self.registry.models.get(name)
        return set(model.versions) if model else set()


def choose(rules: Policy, versions: dict[int, Serving], current: Model | None) -> Serving | None:
    """The version that answers where a call names none.

    That is the one with the label `stable`; without that label the newest. Where it does not serve, whatever answered
    until now goes on, and at the start the previous one, or the newest that is not on trial.
    """
    if not rules.serve:
        return None
    stable = rules.labels.get(STABLE) or max(versions, default=None)
    if stable in versions:
        return versions[stable]
    if current is not None and current.default.manifest.version not in rules.never:
        return current.default
    candidate = rules.candidate(versions)
    others = [version for version in versions if version != candidate]
    return versions.get(rules.labels.get(PREVIOUS, 0)) or (versions[max(others)] if others else None)


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set in time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
