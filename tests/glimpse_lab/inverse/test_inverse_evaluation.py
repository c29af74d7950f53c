"""What is measured of answers, against answers made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from glimpse_envs.inverse import InverseConfig, make_config
from glimpse_envs.lanes import Observation
from glimpse_envs.metrics.episodes import wilson_interval
from glimpse_envs.registration import INVERSE
from glimpse_lab.evaluation.storage import read_result, write_result
from glimpse_lab.inverse.figures import draw_examples, plot_learning_curve
from glimpse_lab.inverse.measures import measure, measure_instructions, measure_planning
from glimpse_lab.inverse.result import InverseEvaluation
from glimpse_lab.inverse.rollout import Answers, episodes, evaluate, film
from glimpse_lab.inverse.summary import summary
from glimpse_lab.sweeps.summary import over_seeds, seeds_table


def digits(**parts: object) -> InverseConfig:
    given = {**INVERSE["GlimpseInverseDigits-v0"], "split": "validation", **parts}
    return make_config(**given)


class Oracle:
    """Tells what it is asked to of the true actions, which it looks up image by image."""

    def __init__(self, config: InverseConfig, error: float = 0.0, wrong: int = 0) -> None:
        self.config, self.error, self.wrong = config, error, wrong
        nothing = np.zeros(len(config.actions), np.float32)
        self.answers = {}
        index = np.arange(config.n_images)

        def still(observation: Observation) -> dict[str, NDArray]:
            n = len(observation["before"])
            return {"type": np.zeros(n, int), "parameters": np.tile(nothing, (n, 1))}

        for core, _, _ in episodes(still, config, index, 0):
            for lane in core.lanes:
                key = core.first[lane].tobytes() + core.after[lane].tobytes()
                self.answers[key] = core.true_parameters[lane].copy()
            break

    def __call__(self, observation: Observation) -> dict[str, NDArray]:
        pairs = zip(observation["before"], observation["after"], strict=True)
        true = np.array([self.answers[b.tobytes() + a.tobytes()] for b, a in pairs])
        types = (np.abs(true).argmax(1) + self.wrong) % len(self.config.actions)
        parameters = np.clip(true - self.error * np.sign(true), -1, 1)
        return {"type": types, "parameters": parameters}


def test_the_true_actions_have_no_error() -> None:
    config = digits()
    found = measure(evaluate(Oracle(config), config), config.actions)
    total = found.total
    assert total.n_images == 144 and total.type_accuracy == 1.0
    assert total.type_accuracy_ci95 == wilson_interval(144, 144)
    assert total.mean_similarity > 0.999 and total.near == 1.0
    assert total.error.median == total.error.percentile90 == 0.0
    assert sum(told.n_images for told in found.by_type.values()) == 144
    assert sum(told.n_images for told in found.by_size.values()) == 144
    assert (np.array(found.confusion) == np.diag(np.diag(found.confusion))).all()


def test_errors_are_in_the_units_of_the_types() -> None:
    config = digits()
    found = measure(evaluate(Oracle(config, error=0.05), config), config.actions)
    for kind in config.actions.types:
        told = found.by_type[kind.name]
        assert told.unit == kind.unit
        assert told.error.mean == pytest.approx(0.05 * kind.largest, rel=1e-3)
        assert told.error_where_right == told.error
        assert set(told.by_size) <= {"small", "medium", "large"}
    assert 0.3 < found.total.mean_similarity < 0.95


def test_the_parameter_of_the_true_type_counts_where_another_was_told() -> None:
    config = digits()
    found = measure(evaluate(Oracle(config, wrong=1), config), config.actions)
    assert found.total.type_accuracy == 0.0 and found.total.error_where_right is None
    assert found.total.error.mean == 0.0
    counts = np.array(found.confusion)
    assert np.diag(counts).sum() == 0 and np.diag(np.roll(counts, -1, axis=1)).sum() == 144


def answered(
    types: ArrayLike, parameters: ArrayLike, true: ArrayLike, **others: ArrayLike
) -> Answers:
    """Answers after one action, similar and of known instructions where nothing else is told."""
    n = len(types)
    given = dict.fromkeys(("new_wording", "new_word", "new_value"), np.zeros(n))
    given |= {"similarity": np.ones(n), **others}
    return Answers(
        types=np.asarray(types),
        parameters=np.asarray(parameters, np.float32),
        true_parameters=np.asarray(true, np.float32),
        similarity=np.asarray(given["similarity"], np.float32),
        n_steps=np.ones(n, np.int64),
        success=np.ones(n, bool),
        new_wording=np.asarray(given["new_wording"], bool),
        new_word=np.asarray(given["new_word"], bool),
        new_value=np.asarray(given["new_value"], bool),
    )


def test_an_action_is_carried_out_within_a_tenth_or_the_tolerance() -> None:
    table = digits().actions
    assert table.names[:4] == ("move x", "move y", "rotate", "scale")
    true = np.zeros((6, 5))
    told = true.copy()
    pairs = [  # type, true and told in its unit, whether it is carried out
        (0, 3.0, 3.9, True), (0, 3.0, 4.1, False), (0, 12.0, 10.9, True),
        (2, -40.0, -43.9, True), (3, 0.05, 0.058, True), (3, 0.05, 0.062, False),
    ]  # fmt: skip
    for row, (kind, wanted, given, _) in enumerate(pairs):
        true[row, kind], told[row, kind] = (
            value / table.largest[kind] for value in (wanted, given)
        )
    types = [kind for kind, *_ in pairs]
    found = measure(answered(types, told, true), table)
    assert found.total.carried_out == np.mean([done for *_, done in pairs])
    other = measure(answered([(kind + 1) % 5 for kind in types], told, true), table)
    assert other.total.carried_out == 0.0


def test_instructions_are_measured_by_what_is_new_of_them() -> None:
    config = digits(instructions=True)
    true = np.eye(5)[[0, 1, 2, 3, 4]]
    told = true.copy()
    told[1, 1] = 0.0
    answers = answered(
        [0, 1, 2, 3, 0], told, true,
        new_wording=[0, 0, 1, 1, 1], new_word=[0, 0, 0, 0, 1], new_value=[0, 1, 0, 1, 1],
    )  # fmt: skip
    found = measure_instructions(answers, config)
    assert {name: (each.n_images, each.carried_out) for name, each in found.items()} == {
        "known wording and value": (1, 1.0),
        "new value": (1, 0.0),
        "new wording": (1, 1.0),
        "new wording and value": (1, 1.0),
        "word never heard": (1, 0.0),
    }
    assert measure_instructions(answers, digits()) is None


def test_sizes_are_thirds_of_the_range_that_is_shown() -> None:
    table = digits().actions
    least = table.smallest[0] / table.largest[0]
    sizes = np.array([least, least + 0.3 * (1 - least), 0.5 + least / 2, 1.0])
    true = np.zeros((4, 5), np.float32)
    true[:, 0] = sizes * [1, -1, 1, -1]
    answers = answered([0, 0, 1, 0], true, true, similarity=[0.2, 0.4, 0.6, 0.96])
    by_size = measure(answers, table).by_size
    assert [by_size[name].n_images for name in ("small", "medium", "large")] == [2, 1, 1]
    assert by_size["small"].mean_similarity == pytest.approx(0.3)
    assert by_size["medium"].type_accuracy == 0.0 and by_size["large"].near == 1.0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_evaluation_does_not_depend_on_its_chunks(split: str) -> None:
    config = digits(split=split)

    def right(observation: Observation) -> dict[str, NDArray]:
        n = len(observation["before"])
        return {"type": np.zeros(n, int), "parameters": np.full((n, 5), 0.3, np.float32)}

    one, other = (evaluate(right, config, n_images=50, chunk=chunk) for chunk in (50, 7))
    assert (one.true_parameters == other.true_parameters).all()
    assert one.similarity == pytest.approx(other.similarity, abs=1e-5)
    assert len(one) == 50


def test_errors_of_angles_go_the_shorter_way() -> None:
    table = digits(actions=["MoveX", {"type": "Rotate", "largest": 180.0}]).actions
    answers = answered(
        [1, 1, 0],
        [[0, -178 / 180], [0, 0.5], [-1, 0]],
        [[0, 175 / 180], [0, 0.25], [1, 0]],
    )
    by_type = measure(answers, table).by_type
    assert by_type["rotate"].error.mean == pytest.approx((7.0 + 45.0) / 2, abs=1e-3)
    assert by_type["move x"].error.mean == pytest.approx(2 * table.largest[0])


def largest_remaining(config: InverseConfig, n: int) -> Answers:
    """Answers of a planner that undoes the largest of two actions first, then the other."""
    oracle, rounds = Oracle(config), []

    def choose(observation: Observation) -> dict[str, NDArray]:
        if not rounds:
            rounds.append(oracle(observation)["parameters"])
            return {"type": np.abs(rounds[0]).argmax(1), "parameters": rounds[0]}
        rest = rounds[0].copy()
        rest[np.arange(len(rest)), np.abs(rest).argmax(1)] = 0.0
        return {"type": np.abs(rest).argmax(1), "parameters": rest}

    return evaluate(choose, config, n_images=n, chunk=n)


def test_planning_reaches_the_target_in_as_many_actions_as_lie_between() -> None:
    config = digits(max_steps=4, changes=2)
    answers = largest_remaining(config, 40)
    plan = measure_planning(answers, config)
    assert plan.success == 1.0 and plan.mean_similarity > 0.95
    assert set(answers.n_steps) <= {1, 2} and plan.mean_steps > 1.8
    assert measure(answers, config.actions).total.type_accuracy == 1.0
    assert measure_planning(answers, digits()) is None


def test_a_film_holds_the_last_frame_and_examples_say_what_was_true() -> None:
    config = digits(max_steps=2)
    still = {"type": np.zeros(3, int), "parameters": np.zeros((3, 5), np.float32)}
    frames = film(lambda _: still, config, np.array([5, 1, 8]), hold=2)
    assert len(frames) == 1 + 2 + 2 and len({frame.shape for frame in frames}) == 1
    assert (frames[-1] == frames[2]).all() and (frames[0] != frames[1]).any()
    examples = draw_examples(Oracle(digits()), digits(), np.array([5, 1, 8]))
    assert len(examples) == 3 and examples[0].dtype == np.uint8 and examples[0].std() > 10


def test_a_curve_without_rows_is_not_drawn(tmp_path: Path) -> None:
    assert plot_learning_curve({}, tmp_path / "curve.png", reached=0.5) is None
    rows = {"time/total_timesteps": np.array([1.0, 2.0]), "rollout/reward": np.array([0.1, 0.2])}
    assert plot_learning_curve(rows, tmp_path / "curve.png", reached=0.5).exists()


def made_result(answers: Answers, config: InverseConfig, **members: object) -> InverseEvaluation:
    """An evaluation of answers."""
    about = {"env": "GlimpseInverseDigits-v0", "env_kwargs": {"changes": 2}, "dataset": None}
    about |= {"split": "validation", "n_images": len(answers), "algorithm": "enumeration"}
    about |= {"timesteps": 7, "seed": 0, "seconds": 1.0, "git": None, "versions": {}}
    return InverseEvaluation(agent=measure(answers, config.actions), **{**about, **members})


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    config = digits(max_steps=4, changes=2)
    answers = largest_remaining(config, 20)
    plan = measure_planning(answers, config)
    result = made_result(answers, config, planning=plan, no_reference="none was asked for")
    file = write_result(tmp_path / "metrics.json", result)
    assert read_result(file, InverseEvaluation) == result
    told = summary(result)
    for words in (
        "changes = 2",
        "type        100.00 %",
        "planning    100.0 %",
        "none was asked for",
    ):
        assert words in told


def test_seeds_are_averaged() -> None:
    config = digits()
    right, wrong = (evaluate(Oracle(config, wrong=n), config, n_images=30) for n in (0, 1))
    results = {seed: made_result(a, config, seed=seed) for seed, a in enumerate((right, wrong))}
    found = over_seeds(results)
    assert found["type_accuracy"]["mean"] == 0.5 and found["type_accuracy"]["ci95"] == [0.0, 1.0]
    assert found["runs"]["seed0"]["mean_similarity"] > 0.999
    table = seeds_table(found)
    assert "similarity" in table and "50.00 %" in table and "2 seeds" in table
    one = over_seeds({0: results[0]})
    assert one["type_accuracy"]["ci95"] == list(wilson_interval(30, 30))
