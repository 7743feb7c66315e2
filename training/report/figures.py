"""Everything that is measured on a finished network: what `report.json` holds beside the curves of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.calibrate import Temperature, measure_reliability, soften
from training.datasets import Dataset, Part
from training.evaluate import Measurement, measure
from training.report.stress import Predict, measure_stress


@dataclass(frozen=True)
class Figures:
    """One network, measured."""

    validation: Measurement
    test: Measurement
    calibration: dict[str, Any]
    """`temperature`, its standard `error`, and the reliability of each part `before` and `after`."""
    stress: dict[str, list[dict[str, float]]]
    """Accuracy on changed validation pictures: see `measure_stress`."""


def measure_figures(
    predict: Predict, parts: Mapping[str, Part], classes: tuple[str, ...], temperature: Temperature
) -> Figures:
    """Measure a network that is finished and calibrated.

    Args:
        predict: The network.
        parts: `validation` and `test`.
        classes: Name of each class, by its number.
        temperature: What was folded into it, and is undone to see what it was before.
    """
    answers = {name: predict(part.pictures) for name, part in parts.items()}
    measured = {name: measure(answers[name], part.labels, classes) for name, part in parts.items()}
    reliability = {
        name: {
            "before": measure_reliability(soften(answers[name], 1 / temperature.value), part.labels),
            "after": measure_reliability(answers[name], part.labels),
        }
        for name, part in parts.items()
    }
    return Figures(
        **measured,
        calibration={"temperature": temperature.value, "error": temperature.error, **reliability},
        stress=measure_stress(predict, parts["validation"]),
    )


def tell(figures: Figures, data: Dataset) -> dict[str, Any]:
    """What `report.json` says of them; mistakes have the names of their files where they have any."""
    told = asdict(figures)
    if data.test_names:
        told["test"]["files"] = {str(place): data.test_names[place] for place in figures.test.wrong}
    return told
