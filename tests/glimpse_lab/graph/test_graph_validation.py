"""A mistake in a graph is told when it is made, with the module's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from graphs import observe_all, pipeline
from torch import nn

from glimpse_lab.graph import (
    BatchCapsule,
    Classifier,
    Cropper,
    Database,
    Framework,
    Graph,
    GraphError,
    Input,
    Loop,
    ModelModule,
    Module,
    Output,
    PPOSaccader,
    RLModule,
    Vote,
    gymnasium_environment,
    register_framework,
)


class Noise(Module):
    """Adds noise to a crop, and forgets that a crop is of bytes."""

    crop = Input((np.ndarray, (9, 9, 1), np.uint8))
    output = Output((np.ndarray, (9, 9, 1), np.float32))


class Passing(Module):
    """Passes something on."""

    value = Input(object)
    output = Output(object)

    def run(self):
        self["output"] = self["value"]


def unknown_layer(p: SimpleNamespace) -> None:
    p.classifier.port("memory.waht") >> p.saccader.classifier_features


def type_that_does_not_fit(p: SimpleNamespace) -> None:
    noise = Noise()
    p.cropper.output >> noise.crop
    noise.output >> p.saccader.gaze
    p.inner.modules.insert(2, noise)


def shape_that_does_not_fit(p: SimpleNamespace) -> None:
    p.database.img >> p.saccader.gaze


def shape_that_is_known_when_it_runs(p: SimpleNamespace) -> None:
    noise = Noise()
    p.database.img >> noise.crop
    noise.crop.type = p.database.img.type
    p.outer.modules.insert(1, noise)
    passing = Passing()
    p.cropper.gaze >> passing.value
    passing.output >> p.saccader.remaining
    p.inner.modules.insert(2, passing)


def unconnected_input(p: SimpleNamespace) -> None:
    for crop in (p.centre, p.cropper):
        crop.output.disconnect(p.classifier.input)


def nothing_observed(p: SimpleNamespace) -> None:
    p.classifier.hidden.disconnect(p.saccader.observation)


def cycle_without_a_loop(p: SimpleNamespace) -> None:
    first, second = Passing(), Passing()
    first.name, second.name = "first", "second"
    first.output >> second.value
    second.output >> first.value
    p.outer.modules[1:1] = [first, second]


def wrong_order(p: SimpleNamespace) -> None:
    p.outer.modules[:2] = [p.centre, p.database]


def label_to_the_agent(p: SimpleNamespace) -> None:
    p.database.label >> p.saccader.remaining


def label_to_the_agent_on_a_detour(p: SimpleNamespace) -> None:
    passing = Passing()
    p.database.label >> passing.value
    passing.output >> p.saccader.belief
    p.outer.modules.insert(1, passing)


def answer_to_the_agent(p: SimpleNamespace) -> None:
    passing = Passing()
    p.classifier.issue >> passing.value
    passing.output >> p.saccader.belief
    p.inner.modules.append(passing)


def module_outside(p: SimpleNamespace) -> None:
    passing = Passing()
    p.cropper.gaze >> passing.value


def source_outside(p: SimpleNamespace) -> None:
    Cropper(9).gaze >> p.saccader.gaze


def classifier_beside_its_capsule(p: SimpleNamespace) -> None:
    p.outer.modules[2] = p.classifier


def classifier_that_reads_one_crop(p: SimpleNamespace) -> None:
    p.inner.modules.remove(p.capsule)
    p.inner.modules.remove(p.reward)
    p.reward.output >> p.saccader.reward


def database_in_every_iteration(p: SimpleNamespace) -> None:
    p.outer.nb = 2


def edge_into_an_output(p: SimpleNamespace) -> None:
    p.database.img >> p.cropper.output


def two_agents(p: SimpleNamespace) -> None:
    p.inner.modules.append(RLModule())


def no_agent(p: SimpleNamespace) -> None:
    p.inner.modules.remove(p.saccader)


def croppers_of_two_sizes(p: SimpleNamespace) -> None:
    p.centre.sensor = Cropper(7).sensor


def reward_before_the_classifier(p: SimpleNamespace) -> None:
    p.outer.modules[2:4] = [p.reward, p.capsule]


def failing_module(p: SimpleNamespace) -> None:
    class Broken(Module):
        def run(self):
            raise ZeroDivisionError("oh")

    p.inner.modules.append(Broken())


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            unknown_layer,
            r"Classifier has no port or layer 'memory.waht'; did you mean 'memory.what'",
        ),
        (
            type_that_does_not_fit,
            r"PPOSaccader: Noise.output >> PPOSaccader.gaze: ndarray float32 ",
        ),
        (
            shape_that_does_not_fit,
            r"PPOSaccader: Database.img >> PPOSaccader.gaze: ndarray uint8 \(28",
        ),
        (
            shape_that_is_known_when_it_runs,
            r"port remaining has shape \(1,\) in each lane.*Saccader",
        ),
        (unconnected_input, "module Classifier: nothing is connected to its port input"),
        (nothing_observed, "module PPOSaccader: nothing is connected to its observation"),
        (
            cycle_without_a_loop,
            r"module first: .*cycle without a Loop \(first >> second >> first\)",
        ),
        (
            wrong_order,
            r"module Cropper 1 runs before module Database.*Database.img >> Cropper 1.img",
        ),
        (
            label_to_the_agent,
            r"module PPOSaccader: the agent would see the label \(Database.label >> ",
        ),
        (
            label_to_the_agent_on_a_detour,
            "Database.label >> Passing.value >> Passing.output >> PPO",
        ),
        (answer_to_the_agent, "Classifier.label >> Classifier.issue >> Passing.value"),
        (module_outside, "module Passing is connected .* and lies in no Loop"),
        (source_outside, "module Cropper is connected .* and lies in no Loop"),
        (
            classifier_beside_its_capsule,
            "module Classifier runs by itself and as a part of BatchCapsule; wanted BatchCapsule",
        ),
        (classifier_that_reads_one_crop, r"module Classifier runs 1 time\(s\) in an episode"),
        (database_in_every_iteration, "module Database runs 2 times in an episode"),
        (edge_into_an_output, r"Database.img >> Cropper 2.output: .* fills that port itself"),
        (two_agents, "RL modules: PPOSaccader, RLModule; wanted just one"),
        (no_agent, "RL modules: none; wanted just one"),
        (croppers_of_two_sizes, "module Classifier reads crops.*got 1 and 2 sizes"),
        (reward_before_the_classifier, "module Reward runs before belief and label were sent"),
        (failing_module, "a trial run failed in module Broken: ZeroDivisionError: oh"),
    ],
)
def test_a_mistake_is_told_when_the_graph_is_made(
    mistake: Callable[[SimpleNamespace], None], message: str
) -> None:
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    mistake(p)
    with pytest.raises(GraphError, match=message) as raised:
        p.make()
    assert "\n" not in str(raised.value)


def too_few_outputs() -> Loop:
    database, cropper = Database("digits"), Cropper(9)
    classifier = Classifier(ModelModule(nn.Sequential(nn.Flatten(), nn.Linear(81, 1))))
    database.img >> cropper.img
    database.label >> classifier.label
    cropper.output >> classifier.input
    return Loop([Loop([database], nb=2), cropper, BatchCapsule(classifier)])


def test_the_pipeline_itself_has_no_mistake() -> None:
    p = pipeline()
    observe_all(p)
    p.make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Graph([Module()]), "wanted a Loop of modules"),
        (lambda: Loop([]), "wanted a list of modules"),
        (lambda: Loop([Module()], nb=0), "nb=0"),
        (lambda: Loop([Module(), 3]), "wanted a list of modules"),
        (lambda: BatchCapsule(Passing()), "wanted a Classifier"),
        (lambda: BatchCapsule(Classifier("gru"), threshold=0), "threshold=0"),
        (lambda: Classifier(Passing()), "wanted the name of a kind"),
        (lambda: pipeline(epochz=2), "epochz"),
        (lambda: pipeline().make(framework="rl"), "framework='rl'; known: .*sb3"),
        (lambda: pipeline().make(seed=-1), "seed=-1"),
        (lambda: PPOSaccader(nn.Linear(2, 2)), r"PPOSaccader\(Linear\); wanted a ModelModule"),
        (lambda: BatchCapsule(nn.Linear(2, 2)), r"BatchCapsule\(Linear\); wanted a Classifier"),
        (lambda: Classifier(nn.Linear(2, 2)), r"Classifier\(Linear, .*ModelModule\(network\)"),
        (lambda: ModelModule("gru"), r"ModelModule.*wanted a torch.nn.Module"),
        (lambda: Vote("a"), r"Vote.*a number of beliefs"),
        (lambda: Loop(RLModule()), "wanted a list of modules"),
        (lambda: Cropper(5, zoom=3), "zoom"),
        (lambda: pipeline().outer.run(), r"the network of a kind such as 'gru' .*by Graph\(loop\)"),
        (lambda: too_few_outputs().run(), "with 1 outputs and an image of class"),
        (lambda: PPOSaccader().fit(None), "learns from rewards"),
        (lambda: Loop([RLModule()]).run(), "module RLModule wants an action.*Graph"),
    ],
)
def test_what_is_no_graph_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("n", [0, -3, 2.5, True])
def test_numbers_of_steps_and_images_are_checked(n: object) -> None:
    p = pipeline(dataset="digits")
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    with pytest.raises(GraphError, match=r"got run\(.*an integer of at least 1"):
        graph.run(n)
    with pytest.raises(GraphError, match=r"got evaluate\(n=.*an integer of at least 1"):
        graph.evaluate(n=n)


def test_out_of_range_actions_are_refused() -> None:
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    env = p.make().environment
    env.reset(seed=0)
    for wrong in ([2.0, 0.0], [np.nan, 0.0]):
        with pytest.raises(ValueError, match=r"got actions \[\[.*wanted some in Box"):
            env.step(wrong)
    with pytest.raises(ValueError, match="shape"):
        env.step([0.0, 0.0, 0.0])
    ended = [env.step([0.0, 0.0])[2] for _ in range(5)]
    assert ended == [False] * 4 + [True]  # the episode went on


def test_a_framework_of_another_name_makes_the_agent() -> None:
    class Chance:
        def __init__(self, env):
            self.env, self.steps = env, 0

        def learn(self, n):
            self.env.reset(seed=0)
            while self.steps < n:
                self.env.step(self.env.action_space.sample())
                self.steps += self.env.num_envs

    chance = Framework(gymnasium_environment, lambda graph, env: Chance(env), Chance.learn)
    register_framework("chance", chance)
    p = pipeline(threshold=8)
    p.classifier.hidden >> p.saccader.observation
    graph = p.make(framework="chance")
    assert isinstance(graph.agent, Chance)
    assert isinstance(graph.training_environment, gymnasium.vector.VectorEnv)
    assert graph.run(80) is graph.agent and graph.agent.steps == 80
    assert p.capsule.fits  # the classifier learns whoever trains the agent


def test_a_learn_fn_for_each_framework() -> None:
    def learn(env, nb_timesteps):
        return "an agent", env.num_envs, nb_timesteps

    p = pipeline(saccader=PPOSaccader(learn_fn={"sb3": learn}))
    p.classifier.hidden >> p.saccader.observation
    assert p.make().run(40) == ("an agent", 8, 40)


def test_the_picture_has_every_module_loop_and_edge() -> None:
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    p.inner.remaining >> p.saccader.remaining
    p.inner.name, p.centre.name = "saccades", 'the "first" crop'
    text = p.make().draw()
    assert (
        text.startswith("flowchart LR\n") and text.count("subgraph") == text.count("    end") == 2
    )
    for shown in (
        '"Database"',
        '"the #quot;first#quot; crop"',
        '"BatchCapsule<br>Classifier"',
        "saccades, 5 times",
    ):
        assert shown in text
    assert '(["PPOSaccader"])' in text and 'loop1c{{"saccades"}}' in text
    nodes = set(re.findall(r"^ +(m\d+|loop\d+c)[\[({]", text, re.MULTILINE))
    edges = [line.split(" -->") for line in text.splitlines() if "-->" in line]
    assert {e[0].strip() for e in edges} | {e[1].split("| ")[1] for e in edges} <= nodes
    assert "hidden → observation" in text
