import itertools
import math

import pytest

from tmssl.config import Config, changed, read_config
from tmssl.errors import ConfigError, RunError
from tmssl.recipes import recipe_path
from tmssl.runs.resume_plan import FIXED, plan_resume
from tmssl.runs.schedule import planned_learning_rate

LOG = changed(
    Config(), {"lr": 3e-4, "min_lr": 1e-6, "epochs": 30, "warmup_epochs": 0.0, "optimizer": "adamw"}
)


def lr(config: Config, step: int) -> float:
    return planned_learning_rate(
        step, config.optim, steps_per_epoch=100, epochs=config.train.epochs
    )


def test_a_new_end_moves_the_end_and_keeps_the_anchor() -> None:
    plan = plan_resume(LOG, {"epochs": 50}, step=2400, steps_per_epoch=100)
    assert plan.changed == {"train.epochs": [30, 50]}
    assert plan.lr_before == lr(LOG, 2400)
    assert plan.lr_after == lr(plan.config, 2400)
    assert plan.jump == pytest.approx(plan.lr_after / plan.lr_before)
    assert plan.jump > 1
    assert lr(plan.config, 5000) == pytest.approx(1e-6)


def test_restarting_the_schedule_moves_the_anchor_to_now() -> None:
    plan = plan_resume(LOG, {"epochs": 50}, step=2400, steps_per_epoch=100, restart_schedule=True)
    assert plan.config.optim.anchor == 24
    assert plan.lr_after == pytest.approx(3e-4)


def test_a_cosine_after_a_constant_begins_where_it_is_asked_for() -> None:
    constant = changed(LOG, {"schedule": "constant"})
    plan = plan_resume(constant, {"schedule": "cosine"}, step=2000, steps_per_epoch=100)
    assert plan.config.optim.anchor == 20
    assert plan.jump == pytest.approx(1)
    again = plan_resume(plan.config, {"epochs": 50}, step=2400, steps_per_epoch=100)
    assert again.config.optim.anchor == 20


def test_a_jump_can_be_spread_over_steps() -> None:
    ended = 3000
    plan = plan_resume(LOG, {"epochs": 60, "rewarm_steps": 100}, step=ended, steps_per_epoch=100)
    rates = [lr(plan.config, ended + i) for i in range(120)]
    assert plan.lr_before == pytest.approx(1e-6)
    assert rates[0] < 4e-6
    assert all(a < b for a, b in itertools.pairwise(rates[:100]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))  # the cosine takes over
    unspread = plan_resume(LOG, {"epochs": 60}, step=ended, steps_per_epoch=100)
    assert rates[110] == lr(unspread.config, ended + 110)


@pytest.mark.parametrize("epochs", [1, 23, 24])
def test_fewer_epochs_than_done_are_refused(epochs: int) -> None:
    with pytest.raises(RunError, match=r"has done 24 epochs already.*give --epochs above 24"):
        plan_resume(LOG, {"epochs": epochs}, step=2400, steps_per_epoch=100)


@pytest.mark.parametrize(
    ("setting", "value"), [("batch_size", 8), ("image_size", 64), ("model.name", "resnet18")]
)
def test_what_the_weights_hang_on_cannot_change(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match="cannot change within a run"):
        plan_resume(LOG, {setting: value}, step=100, steps_per_epoch=100)
    assert len(FIXED) == len(set(FIXED))


def test_the_three_phases_of_the_seed_log_are_its_recipe_and_three_resumes() -> None:
    begun = read_config(recipe_path("seed-log"))
    assert begun.data.positives == "vienna"
    assert {lr(begun, step) for step in (0, 500, 999)} == {3e-4}
    plan = plan_resume(
        begun, {"data.positives": "instance", "epochs": 20}, step=1000, steps_per_epoch=100
    )
    assert plan.jump == 1
    assert lr(plan.config, 1999) == 3e-4
    plan = plan_resume(
        plan.config, {"schedule": "cosine", "epochs": 30}, step=2000, steps_per_epoch=100
    )
    assert plan.jump == pytest.approx(1)
    assert lr(plan.config, 3000) == pytest.approx(1e-6)
    extended = plan_resume(plan.config, {"epochs": 50}, step=2400, steps_per_epoch=100)
    assert extended.config.optim.anchor == 20  # where the cosine began, not where it was stopped
    assert extended.lr_before == pytest.approx(1e-6 + 2.99e-4 * 0.5 * (1 + math.cos(0.4 * math.pi)))
    assert extended.lr_after == pytest.approx(
        1e-6 + 2.99e-4 * 0.5 * (1 + math.cos(4 / 30 * math.pi))
    )
    assert lr(extended.config, 5000) == pytest.approx(1e-6)


def test_a_jump_from_nothing_is_no_ratio() -> None:
    ended = changed(LOG, {"min_lr": 0.0})
    plan = plan_resume(ended, {"epochs": 60}, step=3000, steps_per_epoch=100)
    assert plan.jump_words == "up from 0"
    assert plan_resume(LOG, {"epochs": 60}, step=3000, steps_per_epoch=100).jump_words.startswith(
        "jump x1"
    )
