"""The report's pipeline: dynamics of the registered environment, training, variations."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch as th
from graphs import SMALL, observe_all, pipeline
from gymnasium.utils.env_checker import check_env
from torch import nn

from glimpse_envs.faces_sb3 import LaneVecEnv
from glimpse_envs.rewards import UncertaintyReduction
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.graph import (
    BatchCapsule,
    Classifier,
    Cropper,
    Database,
    Graph,
    GraphError,
    Loop,
    ModelModule,
    PointerModule,
    PPOSaccader,
    Vote,
)
from glimpse_lab.graph.lanes import GraphLanes

DIGITS = {"type": "ClutteredCanvas", "side": 48, "pieces": 4, "piece": 8}


@pytest.mark.parametrize("reward", ["UncertaintyReduction", "Terminal", "InverseCrossEntropy"])
def test_the_graph_is_the_registered_environment_bit_for_bit(reward: str) -> None:
    p = pipeline(dataset="digits", scene=DIGITS, reward=reward)
    observe_all(p)
    graph = p.make()
    ours = LaneVecEnv(graph.spaces, GraphLanes(graph._copy(learning=False), 6), None, 3, None)
    theirs = GlimpseVecEnv(
        "GlimpseDigits-Saccade-v0",
        6,
        seed=3,
        budget=6,
        classifier=p.classifier.pointed.network,
        observe_classifier_features=True,
        reward=reward,
    )
    assert set(ours.observation_space.spaces) == set(theirs.observation_space.spaces)
    for name, space in theirs.observation_space.spaces.items():
        assert ours.observation_space.spaces[name] == space, name
    rng = np.random.default_rng(0)
    pairs = [(ours.reset(), theirs.reset())]
    for _ in range(17):  # three episodes and a bit
        actions = rng.uniform(-1, 1, (6, 2)).astype(np.float32)
        (o, r, d, infos), (o2, r2, d2, infos2) = ours.step(actions), theirs.step(actions)
        pairs.append((o, o2))
        np.testing.assert_array_equal(r, r2)
        np.testing.assert_array_equal(d, d2)
        for info, info2 in zip(infos, infos2, strict=True):
            for key in info.keys() & info2.keys() - {"terminal_observation"}:
                assert info[key] == info2[key], key
            if d[0]:
                pairs.append((info["terminal_observation"], info2["terminal_observation"]))
    for o, o2 in pairs:
        for name in o:
            # the registered one counts glimpses, of which the first is no saccade
            scale = 5 / 6 if name == "remaining" else 1
            np.testing.assert_allclose(o[name] * scale, o2[name], rtol=1e-6 * (scale < 1))


def test_the_environment_keeps_gymnasiums_promises() -> None:
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    check_env(graph.environment, skip_render_check=True)
    action, _ = graph.agent.predict(graph.environment.reset(seed=0)[0])
    assert not graph.environment.step(action)[2]  # five saccades are an episode
    vector = graph.vector_environment(3)
    observation, _ = vector.reset(seed=0)
    assert observation["observation"].shape == (3, 16)
    for _ in range(5):
        _, _, terminated, _, infos = vector.step(vector.action_space.sample())
    assert terminated.all() and set(infos["final_info"]) >= {"label", "prediction", "is_success"}


def test_lanes_flow_as_one_batch() -> None:
    """One call of the network for all lanes, at each of six crops."""
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    graph = p.make(lanes=32)
    network, calls = p.classifier.pointed.network, []
    network.memory.what.register_forward_hook(lambda *args: calls.append(len(args[2])))
    lanes = graph.lanes
    lanes.seed_all(0)
    lanes.reset(lanes.lanes)
    for _ in range(5):
        lanes.step(np.zeros((32, 2), np.float32))
    assert calls[:6] == [32] * 6


def test_a_run_trains_agent_and_classifier_and_evaluates() -> None:
    p = pipeline(reward="UncertaintyReduction", pretraining=256, threshold=16)
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    weights = lambda module: [w.detach().clone() for w in module.parameters()]  # noqa: E731
    network = p.classifier.pointed.network
    before = weights(graph.agent.policy), weights(network)
    graph.run(320)
    after = weights(graph.agent.policy), weights(network)
    for olds, news in zip(before, after, strict=True):
        assert any(not th.equal(old, new) for old, new in zip(olds, news, strict=True))
    assert graph.agent.num_timesteps == 320
    assert p.capsule.training.parts.store.total == 64  # 320 steps of 5 an episode
    assert p.capsule.fits and not network.bfloat16
    stored = p.capsule.training.parts.store.total
    assert 0.0 <= graph.evaluate("test") <= 1.0
    assert p.capsule.training.parts.store.total == stored  # evaluation trains nothing


def test_evaluation_shows_each_image_once() -> None:
    p = pipeline(order="stored")
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    shown = [
        lanes.index
        for lanes in graph._played("test", None, lambda o: np.zeros((60, 2), np.float32))
    ]
    assert np.concatenate(shown).tolist() == list(range(60))


def test_a_capsule_fits_at_its_threshold() -> None:
    p = pipeline(threshold=20, random_share=0.0, epochs=1.0)
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    updates = []
    p.capsule.training.fitter.update = lambda batch, scale: updates.append(
        (len(batch.labels), scale)
    )
    vector = graph.vector_environment(8)
    vector.reset(seed=0)
    counts = []
    for _ in range(6):
        for _ in range(5):
            vector.step(np.zeros((8, 2), np.float32))
        counts.append(len(updates))
    assert counts == [0, 0, 3, 3, 3, 6]  # 24 new episodes: three batches of 8
    episodes = p.capsule.training.parts.store.sample(4, np.random.default_rng(0))
    assert episodes.glimpses.shape == (4, 6, 9, 9, 1) and (episodes.counts == 6).all()


def test_the_rewards_module_pays_what_the_report_lists() -> None:
    p = pipeline(reward="PerStep")
    p.classifier.issue >> p.saccader.classifier_features
    with pytest.raises(GraphError):
        p.make()  # the agent would see whether it was right, and so the label


def test_another_layer_is_read_by_moving_an_edge() -> None:
    p = pipeline()
    p.classifier.hidden >> p.saccader.observation
    assert p.make().spaces.observation_space["observation"].shape == (16,)
    p.classifier.hidden.disconnect(p.saccader.observation)
    p.classifier.port("memory.what") >> p.saccader.observation
    p.classifier[">memory.what"]([p.saccader[">observation"]])  # the same edge as the report has it
    graph = p.make()
    (size,) = graph.spaces.observation_space["observation"].shape
    assert size == p.classifier.pointed.network.memory.join.in_features // 2
    graph.run(80)


def test_two_classifiers_vote_by_moving_an_edge() -> None:
    p = pipeline()
    second = Classifier("feedforward", encoder="mlp", hidden_size=8)
    capsule, vote = BatchCapsule(second, threshold=16, batch_size=8), Vote(2)
    for crop in (p.centre, p.cropper):
        crop.output >> second.input
        crop.gaze >> second.gaze
    p.database.label >> [second.label, vote.label]
    p.classifier.output.disconnect(p.reward.belief)
    p.classifier.output >> vote.belief1
    second.output >> vote.belief2
    vote.output >> [p.reward.belief, p.saccader.observation]
    both = [p.capsule, capsule, vote, p.reward]
    inner = Loop([p.saccader, p.cropper, *both], nb=5)
    graph = Graph(Loop([p.database, p.centre, *both, inner]), seed=0, lanes=8)
    graph.run(80)
    mean = (p.classifier["output"] + second["output"]) / 2
    np.testing.assert_allclose(vote["output"], mean, rtol=1e-6)
    assert (vote["plabel"] == mean.argmax(axis=1)).all()
    assert graph.lanes.answering is vote
    assert (p.classifier.name, second.name) == ("Classifier 1", "Classifier 2")
    assert p.capsule.fits and capsule.fits


def network() -> nn.Sequential:
    layers = [
        ("flat", nn.Flatten()),
        ("hidden", nn.Linear(81, 12)),
        ("relu", nn.ReLU()),
        ("logits", nn.Linear(12, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))


def test_a_network_of_ones_own_is_fitted_and_any_layer_is_a_port() -> None:
    model = ModelModule(network())
    p = pipeline(Classifier(model), order="stored")
    p.classifier.relu >> p.saccader.observation
    graph = p.make()
    graph.run(80)
    weight = model.network.hidden.weight
    assert weight.grad is not None and p.capsule.fits
    assert (p.classifier["relu"] >= 0).all() and p.classifier["relu"].shape == (8, 12)
    np.testing.assert_allclose(p.classifier["output"].sum(axis=1), 1.0, rtol=1e-5)
    with pytest.raises(GraphError, match=r"no port or layer 'relo'; did you mean 'relu'"):
        _ = model.relo


def test_the_saccader_learns_through_a_network_of_ones_own() -> None:
    eye = ModelModule(nn.Linear(16, 7))
    p = pipeline(saccader=PPOSaccader(eye, **SMALL))
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    before = eye.network.weight.detach().clone()
    graph.run(80)
    assert graph.agent.policy.features_extractor.network is eye.network
    assert not th.equal(before, eye.network.weight)


def test_layers_of_a_canvas_are_heard_before_their_normalisation_is_folded_in() -> None:
    p = pipeline(Classifier("canvas", width=4))
    p.classifier.hidden >> p.saccader.observation
    graph = p.make()
    vector = graph.vector_environment(2)
    belief = vector.reset(seed=0) and _copied_module(vector, "Classifier")["output"]
    p.classifier.port("memory.trunk.0.0") >> p.saccader.classifier_features
    with pytest.raises(GraphError, match="classifier_features"):  # planes are no vector
        p.make()
    p.classifier.port("memory.trunk.0.0").disconnect(p.saccader.classifier_features)
    p.classifier.hidden.disconnect(p.saccader.observation)
    p.classifier.port("memory.trunk.0.0") >> p.saccader.observation
    vector = p.make().vector_environment(2)
    planes = vector.reset(seed=0)[0]["observation"]
    assert planes.shape[:2] == (2, 4) and planes.min() < 0  # before the ReLU
    again = _copied_module(vector, "Classifier")["output"]
    np.testing.assert_allclose(belief, again, rtol=1e-4)


def _copied_module(vector, name):
    (module,) = [
        part for m in vector.core.modules for part in m.parts() if type(part).__name__ == name
    ]
    return module


def test_a_database_by_hand_goes_through_its_images_in_order() -> None:
    database, cropper = Database("mnist"), Cropper(9)
    database.img >> cropper.img
    for k in range(3):
        database.run()
        database.send()
        assert database["label"] == [k]
        cropper["x"], cropper["y"] = np.array([0.0]), np.array([1.0])
        cropper.run()
        image = database.config.shown_split.images[k]
        np.testing.assert_array_equal(database["img"][0], image)
        np.testing.assert_array_equal(cropper["output"][0], image[19:, :9])  # bottom left


def test_reward_that_compares_beliefs_wants_a_first_one() -> None:
    p = pipeline(reward=UncertaintyReduction())
    p.classifier.hidden >> p.saccader.observation
    p.outer.modules.remove(p.reward)
    with pytest.raises(GraphError, match="module Reward: UncertaintyReduction compares"):
        p.make()


class Named(nn.Module):
    """A network whose layers have names of ports."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = nn.Linear(81, 12), nn.Linear(12, 10)

    def forward(self, crops: th.Tensor) -> th.Tensor:
        return self.output(self.input(crops.flatten(1)).relu())


def test_a_layer_called_input_does_not_take_the_place_of_the_port() -> None:
    p = pipeline(Classifier(ModelModule(Named())))
    p.classifier.output >> p.saccader.observation
    p.make().run(80)
    assert p.classifier["input"].shape == (8, 9, 9, 1) and p.capsule.fits


def weights(classifier: Classifier) -> list[th.Tensor]:
    return [w.detach().clone() for w in classifier.pointed.network.parameters()]


def test_two_classifiers_of_a_kind_are_not_the_same_one() -> None:
    first, second = (Classifier("gru", encoder="mlp", hidden_size=16) for _ in range(2))
    p = pipeline(first, dataset="digits")
    capsule = BatchCapsule(second, threshold=16, batch_size=8)
    for crop in (p.centre, p.cropper):
        crop.output >> second.input
        crop.gaze >> second.gaze
    p.database.label >> second.label
    first.hidden >> p.saccader.observation
    for loop in (p.inner, p.outer):
        loop.modules.insert(loop.modules.index(p.capsule), capsule)
    graph = p.make()
    assert not any(map(th.equal, weights(first), weights(second)))
    batches = {}
    for each in (p.capsule, capsule):
        each.training.fitter.update = lambda batch, scale, each=each: batches.setdefault(
            each, batch
        )
    graph.run(80)
    assert not np.array_equal(batches[p.capsule].labels, batches[capsule].labels)


def test_without_a_seed_one_is_drawn() -> None:
    graphs, classifiers = [], []
    for seed in (None, None):
        p = pipeline(dataset="digits")
        p.classifier.hidden >> p.saccader.observation
        graphs.append(p.make(seed=seed))
        classifiers.append(p.classifier)
    assert graphs[0].seed != graphs[1].seed
    assert not any(map(th.equal, *([w for w in weights(c) if w.dim() > 1] for c in classifiers)))


def test_a_capsule_behind_a_pointer_learns_nothing_in_an_evaluation() -> None:
    class Front(PointerModule):
        def __init__(self, module):
            self.pointed = module

    p = pipeline(dataset="digits", threshold=8)
    p.classifier.hidden >> p.saccader.observation
    front = Front(p.capsule)
    for loop in (p.inner, p.outer):
        loop.modules[loop.modules.index(p.capsule)] = front
    graph = p.make()
    graph.run(80)
    assert p.capsule.training.parts.store.total == 16
    graph.evaluate(n=20)
    assert p.capsule.training.parts.store.total == 16


def test_two_crops_at_a_time_are_one_glimpse_of_the_capsule() -> None:
    p = pipeline(dataset="digits", random_share=0.5)
    p.classifier.hidden >> p.saccader.observation
    other = Cropper(9)
    p.database.img >> other.img
    p.saccader.x >> other.x
    p.inner.modules.insert(1, other)
    graph = p.make()
    graph.run(80)  # episodes of the agent and along the scripted gaze are of one length
    assert p.capsule.fits and graph.glimpse_config(p.capsule).budget == 6


def test_the_saccader_looks_at_crops_through_convolutions() -> None:
    eye = ModelModule(nn.Conv2d(1, 4, 3))
    p = pipeline(saccader=PPOSaccader(eye, **SMALL))
    for crop in (p.centre, p.cropper):
        crop.output >> p.saccader.observation
    p.make().run(80)
    assert eye.network.weight.grad is not None


def test_a_loop_alone_fits_a_network_of_ones_own() -> None:
    database, cropper = Database("digits"), Cropper(9)
    classifier = Classifier(ModelModule(network()))
    capsule = BatchCapsule(classifier, threshold=2, batch_size=2)
    database.img >> cropper.img
    database.label >> classifier.label
    cropper.output >> classifier.input
    loop = Loop([database, cropper, capsule])
    for _ in range(4):
        loop.run()
    assert capsule.fits


def test_answers_of_the_episode_before_are_forgotten() -> None:
    p = pipeline(dataset="digits")
    p.classifier.hidden >> p.saccader.observation
    lanes = p.make().lanes
    lanes.seed_all(0)
    lanes.reset(lanes.lanes)
    assert p.classifier["plabel"] is not None
    p.outer.begin(p.outer.episode)
    assert p.classifier["plabel"] is None and "prediction" not in lanes.infos()
