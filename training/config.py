"""Every knob of a run, frozen, each with its reason."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

SHAPE = (28, 28, 1)
"""Height, width and channels of what the documented network takes."""
SPLIT_SEED = 1998
"""Draws the validation part. Apart from `--seed`, so that runs with other seeds are compared on the same pictures."""
VALIDATION = 5_000
"""Pictures held back for choices: ± 0.1 % at 99.4 %, for 8 % of the training set."""
MAX_EPOCHS = 50
"""The documented network trains for 5 to 50 epochs; fewer are allowed for a trial."""


@dataclass(frozen=True)
class Recipe:
    """How the network is trained. Written into the manifest as it stands here."""

    epochs: int = 30
    """Passes over the training part."""
    batch: int = 128
    """Pictures per step: within the documented 8 to 256."""
    optimizer: str = "muon"
    """`muon` or `adamw`. In as many epochs, Muon comes further."""
    rate: float = 0.005
    """The optimizer's rate after the warm-up; in ten epochs, 0.003 and 0.02 come to the same."""
    warmup: int = 1
    """Epochs of rising rate, so that the first noisy steps do not spoil the random start."""
    final: float = 0.005
    """Share of `rate` that the cosine ends at: the last epochs settle."""
    decay: float = 0.05
    """Weight decay; 98 % of the parameters are in one layer, which would learn the pictures by heart."""
    averaging: float = 0.999
    """Share of the running average of the weights that each step keeps: it looks back over about two epochs. Validation
    and the finished version use the average, which is steadier than the weights of any one step."""
    dropout: tuple[float, float] = (0.1, 0.3)
    """Shares dropped after the pool and after fc_1: less than in Keras' own MNIST example, as distortion does more."""
    arithmetic: str = "bfloat16"
    """What convolutions and products are computed in, where the processor can; weights are float32. Half the time."""
    rotation: float = 10.0
    """Degrees to either side; more makes a 9 of a 4 and a 7 of a 1."""
    shear: float = 10.0
    """Degrees to either side: slant, by which hands differ most."""
    scale: float = 0.1
    """Share by which width and height grow or shrink, each by itself."""
    shift: float = 1.5
    """Pixels in each direction: flattening knows places, and pictures from elsewhere are centred less well."""
    bend: float = 0.8
    """Strength of elastic bending, up to; half of it is about the pixels by which a place moves."""
    pen: float = 0.3
    """Share of pictures with a thicker, thinner, softer or harder stroke: other pens, cameras and screens."""
    wild: float = 0.15
    """Share of pictures whose turns, slants and stretches may be twice as large: hands that MNIST hardly has."""
    flag: float = 0.2
    """Share of the ones that get a flag, and at times a foot, as half of the world writes them, MNIST's hands hardly;
    only where the classes are the ten digits, `centred`. Without, many a flag is read as the bar of a 7."""
    blank: int = 16
    """Of so many batches one has an empty picture, wanted of every class alike: an empty pad is no 8. 0 is never."""
    rounds: int = 1
    """Times that an epoch goes over the training part, each time otherwise distorted."""
    patience: int = 8
    """Epochs without a lower validation loss before we stop; less would cut the cosine short."""
    taught: bool = False
    """Learn from the answers of a larger network, trained first, instead of from the labels."""
    novelty: bool = True
    """Train a network beside it that tells what is unlike the training set: three minutes, or six on a slow machine."""

    @property
    def policy(self) -> str:
        """Keras' name for the arithmetic, weights in float32."""
        return "mixed_bfloat16" if self.arithmetic == "bfloat16" else "float32"


RECIPES = {
    "quick": Recipe(epochs=4, bend=0.0, pen=0.0, wild=0.0, flag=0.0, novelty=False),
    "standard": Recipe(),
    # No dropout: soft answers are not learnt by heart, and to give the same takes all of the network.
    "record": Recipe(epochs=50, patience=50, taught=True, rate=0.01, dropout=(0.0, 0.0), bend=1.0),
}
TEACHER = Recipe(epochs=20, patience=20, blank=0, dropout=(0.15, 0.4), optimizer="adamw", rate=0.003)
"""How the larger network is trained."""
SOFTENING = 4.0
"""Temperature of the teacher's answers: divides logarithms, so that the small probabilities say something too. Labels
tell less than 2, and 2 a little less than 4."""
LEAST_STEPS = 600
"""Steps of a whole run, at least: of fewer, a small set is hardly learnt."""
LEAST_BATCH = 8
"""As documented: mini-batches of 8 to 256 pictures."""
DIGITS = tuple("0123456789")
"""Names of the classes of which the second is a 1."""
BATCHES = 4
"""Into which a small set is divided, at least."""


def suit(recipe: Recipe, pictures: int, least_steps: int) -> Recipe:
    """The recipe for a training part of that size: small ones are learnt in smaller batches, several times an epoch.

    Args:
        recipe: For a large one.
        pictures: How many there are.
        least_steps: Of the whole run.
    """
    batch = max(LEAST_BATCH, min(recipe.batch, pictures // BATCHES))
    steps = recipe.epochs * math.ceil(pictures / batch)
    return replace(recipe, batch=batch, rounds=math.ceil(least_steps / steps))


def choose_arithmetic() -> str:
    """bfloat16 where the processor has instructions for it; without them it would be slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return "float32"
    return "bfloat16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "float32"


@dataclass(frozen=True)
class Config:
    """One run: what is trained, from what, and where the result goes."""

    recipe: Recipe
    recipe_name: str
    """Under which name the recipe was asked for."""
    name: str
    """Name of the model, and of its folder under `models`."""
    seed: int
    """Random start, order, dropout and distortion."""
    data: Path | None
    """Folder with the pictures, of whatever kind `sources.py` knows; none means MNIST, downloaded."""
    models: Path
    """The repository that the service serves."""
    runs: Path = Path("runs")
    """Where unfinished runs keep their state."""
    resume: bool = False
    """Go on from the last finished epoch of the same run."""
    force: bool = False
    """Publish what does not pass the gate."""
    start: Path | None = None
    """Folder of a version whose convolutions are the start; none is a random one."""
    freeze: bool = False
    """Keep them as they are."""
    preparation: str | None = None
    """How pictures of one's own become inputs: `fit` or `centred`; none is what suits the kind of data."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """What the run learns from, by name and checksum. A saved state goes on with the same only."""
    tensorboard: Path | None = None
    """Folder for TensorBoard's curves, one folder in it for each run; none are written without."""

    @property
    def state(self) -> Path:
        """State of this run. Runs that differ in the recipe's name, the seed or the start do not share a file, so they
        may run side by side.
        """
        start = f"-from-{self.start.resolve().parent.name}-{self.start.resolve().name}" if self.start else ""
        return self.runs / self.name / f"{self.recipe_name}-{self.seed}{start}{'-frozen' if self.freeze else ''}.npz"

    def begun(self, since: float = 0) -> bool:
        """Whether an epoch is kept, of this run or of its teacher.

        Args:
            since: Seconds of the clock: what was kept before is another run's, which this one began over.
        """
        states = [self.state, *([self.teacher.state] if self.recipe.taught else [])]
        return any(state.exists() and state.stat().st_mtime >= since for state in states)

    @property
    def teacher(self) -> "Config":
        """Run of the larger network that teaches this one: never longer, in the same arithmetic, of the same ones, with
        a seed of its own, so that it serves for any.
        """
        epochs = min(TEACHER.epochs, self.recipe.epochs)
        recipe = replace(TEACHER, arithmetic=self.recipe.arithmetic, flag=self.recipe.flag, epochs=epochs)
        return replace(self, recipe=recipe, recipe_name="teacher", seed=1)

    @property
    def gain(self) -> Path:
        """What a start was found to be worth, until the version is published."""
        return self.state.with_suffix(".gain.npz")

    @property
    def novelty(self) -> Path:
        """Weights of the run's novelty network, until the version is published."""
        return self.state.with_suffix(".novelty.npz")

    @property
    def events(self) -> Path | None:
        """Where this run's curves for TensorBoard go."""
        return self.tensorboard / self.name / self.state.stem if self.tensorboard else None
