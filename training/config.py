"""Every knob of a run, frozen, each with its reason."""

from dataclasses import dataclass
from pathlib import Path

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
    """Passes over the training part. Seen on validation: the loss is flat for the last third."""
    batch: int = 128
    """Pictures per step: within the documented 8 to 256, and 7 % less time per epoch than 64."""
    rate: float = 0.001
    """Adam's own default, reached after the warm-up."""
    warmup: int = 1
    """Epochs of rising rate, so that the first noisy steps do not spoil the random start."""
    final: float = 0.01
    """Share of `rate` that the cosine ends at: the last epochs settle."""
    decay: float = 0.01
    """AdamW's weight decay; 98 % of the parameters are in one layer, which would learn the pictures by heart."""
    averaging: float = 0.999
    """Share of the running average of the weights that each step keeps: it looks back over about two epochs. Validation
    and the finished version use the average, which is steadier than the weights of any one step."""
    dropout: tuple[float, float] = (0.25, 0.5)
    """Shares dropped after the pool and after fc_1, as in Keras' own MNIST example."""
    rotation: float = 12.0
    """Degrees to either side; more makes a 9 of a 4 and a 7 of a 1."""
    shear: float = 12.0
    """Degrees to either side: slant, by which hands differ most."""
    scale: float = 0.12
    """Share by which width and height grow or shrink, each by itself."""
    shift: float = 2.0
    """Pixels in each direction: flattening knows places, and pictures from elsewhere are centred less well."""
    patience: int = 8
    """Epochs without a lower validation loss before we stop; less would cut the cosine short."""


RECIPES = {"standard": Recipe()}


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
    """Folder with the four IDX files; none means download."""
    models: Path
    """The repository that the service serves."""
    runs: Path = Path("runs")
    """Where unfinished runs keep their state."""
    resume: bool = False
    """Go on from the last finished epoch of the same run."""

    @property
    def state(self) -> Path:
        """State of this run. Runs that differ in recipe or seed do not share a file, so they may run side by side."""
        return self.runs / self.name / f"{self.recipe_name}-{self.seed}.npz"
