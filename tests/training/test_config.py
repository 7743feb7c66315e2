import math
from dataclasses import replace
from pathlib import Path

import pytest

from training.config import LEAST_STEPS, RECIPES, Config, suit


@pytest.mark.parametrize("name", RECIPES)
def test_mnist_is_learnt_as_the_recipe_says(name: str) -> None:
    assert suit(RECIPES[name], 55_000, LEAST_STEPS) == RECIPES[name]


@pytest.mark.parametrize("pictures", [6, 30, 100, 600, 5_000])
def test_small_sets_get_enough_steps_in_batches_as_documented(pictures: int) -> None:
    recipe = suit(RECIPES["standard"], pictures, LEAST_STEPS)
    steps = recipe.epochs * recipe.rounds * math.ceil(pictures / recipe.batch)
    assert LEAST_STEPS <= steps <= 3 * LEAST_STEPS
    assert 8 <= recipe.batch <= 128


def test_runs_from_other_starts_keep_their_states_apart(tmp_path: Path) -> None:
    run = Config(RECIPES["quick"], "quick", "signs", 1, None, tmp_path, runs=tmp_path)
    begun = replace(run, start=tmp_path / "mnist" / "2")
    assert run.state == tmp_path / "signs" / "quick-1.npz"
    runs = [
        replace(each, tensorboard=tmp_path) for each in (run, begun, replace(begun, freeze=True), replace(run, seed=2))
    ]
    assert len({each.state for each in runs}) == len({each.events for each in runs}) == 4
