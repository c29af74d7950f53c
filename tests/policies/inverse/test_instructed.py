"""Stage two: the network, its policy, what it takes over from stage one, and how it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO

from glimpse_envs.inverse.instructions import encode
from glimpse_envs.inverse.sb3 import InverseVecEnv
from policies.inverse import (
    ActionEnumeration,
    InstructedExtractor,
    InstructedPolicy,
    SiamesePolicy,
    SupervisedActions,
    load_visual,
)

ENV = "GlimpseInstructedDigits-v0"
WORDS = {"dim": 16, "n_heads": 2, "n_blocks": 1}
SMALL = {"dim": 32, "n_heads": 2, "text_kwargs": WORDS}
TEXTS = ("move the digit up by 5 pixels", "move the digit up by 9 pixels", "rotate it")


def _space(image: tuple[int, ...] = (16, 16, 1), length: int = 80) -> spaces.Dict:
    return spaces.Dict(
        {
            "before": spaces.Box(0, 255, image, np.uint8),
            "instruction": spaces.Box(0, 255, (length,), np.uint8),
        }
    )


def _seen(image: tuple[int, ...] = (16, 16, 1)) -> dict[str, th.Tensor]:
    images = th.rand(3, *image, generator=th.Generator().manual_seed(0))
    text = th.as_tensor(np.stack([encode(text) for text in TEXTS]))
    return {"before": images, "instruction": text.float()}


def _extractor(image: tuple[int, ...] = (16, 16, 1), **kwargs: Any) -> InstructedExtractor:
    th.manual_seed(0)
    return InstructedExtractor(_space(image), **{**SMALL, "patch": 4, **kwargs}).eval()


def _model(
    cls: type = ActionEnumeration,
    n_envs: int = 8,
    policy: type = InstructedPolicy,
    env: str = ENV,
    policy_kwargs: dict[str, Any] | None = None,
    parts: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    extractor = {"dim": 32, "reach": [0.5, 1.0]} if policy is SiamesePolicy else SMALL
    return cls(
        policy,
        InverseVecEnv(env, n_envs, seed=0, **(parts or {})),
        seed=0,
        device="cpu",
        policy_kwargs={"features_extractor_kwargs": extractor, **(policy_kwargs or {})},
        **kwargs,
    )


# ---- the network ----


@pytest.mark.parametrize("shape", [(16, 16, 1), (3, 16, 16), (8, 24, 3)])
def test_the_code_depends_on_image_and_text_and_on_no_other_pair(shape: tuple[int, ...]) -> None:
    extractor, seen = _extractor(shape), _seen(shape)
    codes = extractor(seen)
    assert codes.shape == (3, 32) and extractor.features_dim == 32
    other = {key: rows.clone() for key, rows in seen.items()}
    other["before"][0] = 1.0 - other["before"][0]
    other["instruction"][1] = seen["instruction"][0]
    changed = (extractor(other) - codes).abs().amax(dim=1)
    assert changed[0] > 1e-4 and changed[1] > 1e-4 and changed[2] < 1e-6


def test_gradients_flow_to_stem_and_text() -> None:
    extractor = _extractor()
    extractor(_seen()).square().sum().backward()
    for name, parameter in extractor.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0.0, name


def test_a_frozen_text_model_gets_no_gradients(bert: Path) -> None:
    extractor = _extractor(text=f"huggingface:{bert}", text_kwargs={}).train()
    assert extractor.text.dim == 24
    extractor(_seen()).square().sum().backward()
    for name, parameter in extractor.named_parameters():
        of_text = name.startswith("text.")
        assert (parameter.grad is None) == of_text == (not parameter.requires_grad), name


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Dict({"before": spaces.Box(0, 255, (16, 16, 1), np.uint8)}), "wanted an 'instruc"),
        (_space((16, 16, 2)), "wanted an image 'before', of 1 or 3 channels"),
        (spaces.Box(0, 255, (16, 16, 1), np.uint8), "wanted an 'instruction' of bytes"),
    ],
)
def test_other_observations_are_refused(space: spaces.Space, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InstructedExtractor(space)


# ---- the policy ----


def test_one_branch_says_types_and_parameters() -> None:
    model = _model()
    model.policy.set_training_mode(False)
    tensors, _ = model.policy.obs_to_tensor(model.env.reset())
    with th.no_grad():
        logits, means = model.policy.branches(tensors)
        distribution = model.policy.get_distribution(tensors)
    assert logits.shape == means.shape == (1, 8, 5)
    assert th.allclose(distribution.components["parameters"].mean, means[0], atol=1e-6)
    said = distribution.components["type"].logits[0]
    assert th.allclose(said.softmax(1), logits[0].softmax(1), atol=1e-6)


@pytest.mark.parametrize("cls", [ActionEnumeration, SupervisedActions])
def test_it_learns_saves_and_goes_on(cls: type, tmp_path: Path) -> None:
    model = _model(cls, policy="InstructedPolicy" if cls is ActionEnumeration else InstructedPolicy)
    begun = {name: p.clone() for name, p in model.policy.named_parameters()}
    model.learn(24)
    changed = {name for name, p in model.policy.named_parameters() if not th.equal(p, begun[name])}
    assert {"features_extractor.text.digits.weight"} < changed
    assert any(name.startswith("features_extractor.embed.stem") for name in changed)
    model.save(tmp_path / "model")
    again = cls.load(tmp_path / "model", model.env)
    observation = model.env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0],
        again.predict(observation, deterministic=True)[0],
    )
    again.learn(16)


def test_ppo_trains_it() -> None:
    model = _model(PPO, n_steps=4, batch_size=16, n_epochs=1)
    begun = [p.clone() for p in model.policy.parameters()]
    model.learn(32)
    assert any((a != b).any() for a, b in zip(begun, model.policy.parameters(), strict=True))


def test_a_frozen_text_model_is_not_trained(bert: Path) -> None:
    text = {"text": f"huggingface:{bert}", "dim": 32, "n_heads": 2}
    model = _model(policy_kwargs={"features_extractor_kwargs": text})
    begun = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(16)
    for name, value in model.policy.state_dict().items():
        if ".text." in name:
            assert th.equal(value, begun[name]), name
    optimized = {id(p) for group in model.policy.optimizer.param_groups for p in group["params"]}
    assert not optimized & {id(p) for p in model.policy.features_extractor.text.parameters()}


def test_weights_made_orthogonal_are_refused() -> None:
    with pytest.raises(ValueError, match="ortho_init=True, which would overwrite"):
        _model(policy_kwargs={"ortho_init": True})


@pytest.mark.parametrize(
    ("policy", "env"),
    [(SiamesePolicy, ENV), (InstructedPolicy, "GlimpseInverseDigits-v0")],
)
def test_policies_of_the_other_stage_are_refused(policy: type, env: str) -> None:
    with pytest.raises(ValueError, match=r"got observations .* as inverse environments"):
        _model(policy=policy, env=env)


# ---- from stage one ----


@pytest.fixture(scope="module")
def stage_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.zip of stage one, trained for two updates."""
    model = _model(policy=SiamesePolicy, env="GlimpseInverseDigits-v0")
    model.learn(16)
    path = tmp_path_factory.mktemp("stage-one") / "model.zip"
    model.save(path)
    return path


@pytest.mark.parametrize("kind", ["model.zip", "policy", "extractor"])
def test_exactly_the_visual_weights_come_from_stage_one(
    stage_one: Path, tmp_path: Path, kind: str
) -> None:
    theirs = ActionEnumeration.load(stage_one, device="cpu").policy
    path = stage_one
    if kind != "model.zip":
        path = tmp_path / "weights.pth"
        th.save((theirs if kind == "policy" else theirs.features_extractor).state_dict(), path)
    fresh, model = _model(), _model(policy_kwargs={"visual": str(path)})
    begun, after = fresh.policy.state_dict(), model.policy.state_dict()
    source = theirs.state_dict()
    taken = {name for name in after if not th.equal(after[name], begun[name])}
    for name in taken:
        assert th.equal(after[name], source[name]), name
    mine = {name.removeprefix("features_extractor.") for name in taken if name[0] == "f"}
    parts = {"embed.places", "embed.stem.net.0.weight", "norm.weight", "blocks.1.to_qkv.weight"}
    parts |= {
        f"blocks.0.{part}" for part in ("to_query.weight", "mlp.enter.weight", "norm_mlp.bias")
    }
    assert parts <= mine
    asks = ("norm_source", "to_key_value", "text.", "action_net", "value_net")
    assert not [name for name in taken if any(part in name for part in asks)]
    # of the weights that are drawn all but those are taken
    drawn = {name for name, value in begun.items() if value.ndim > 1 and "extractor" in name}
    assert {name for name in drawn if not any(part in name for part in asks)} <= taken


def test_what_was_saved_does_not_need_the_file(stage_one: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    path.write_bytes(stage_one.read_bytes())
    model = _model(policy_kwargs={"visual": str(path)})
    model.save(tmp_path / "second")
    model.policy.save(tmp_path / "policy")
    path.unlink()
    for policy in (
        ActionEnumeration.load(tmp_path / "second", device="cpu").policy,
        InstructedPolicy.load(tmp_path / "policy", device="cpu"),
    ):
        for ours, theirs in zip(model.policy.parameters(), policy.parameters(), strict=True):
            assert th.equal(ours, theirs)


def test_the_names_of_what_was_loaded_are_given(stage_one: Path) -> None:
    extractor = _model().policy.features_extractor
    names = load_visual(extractor, stage_one)
    assert "embed.places" in names and set(names) < set(extractor.state_dict())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dim": 16}, r"embed.places' is 36 x 32 and here 36 x 16.*wanted a model with the same"),
        ({"patch": 16}, "lacks 'embed.stem.net.8"),
        ({"stem": "linear"}, "lacks 'embed.stem.project.weight'; wanted"),
        ({"blocks": ["self", "cross"]}, "lacks 'blocks.0.norm_attention.weight'"),
        ({"blocks": ["cross", "self"]}, r"has 'blocks.2.* beyond"),
        ({"blocks": ["cross", "self", "cross", "self", "cross"]}, "lacks 'blocks.4.norm_query"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    stage_one: Path, kwargs: dict[str, Any], message: str
) -> None:
    extractor = {**SMALL, **kwargs}
    with pytest.raises(ValueError, match=message):
        _model(
            policy_kwargs={"visual": str(stage_one), "features_extractor_kwargs": extractor},
        )


def test_weights_of_other_images_are_named(stage_one: Path) -> None:
    extractor = InstructedExtractor(_space((48, 48, 3)), **SMALL)
    with pytest.raises(ValueError, match="is 64 x 1 x 3 x 3 and here 64 x 3 x 3 x 3"):
        load_visual(extractor, stage_one)


@pytest.mark.parametrize("content", [None, b"", b"weights", "list", "empty"])
def test_files_that_hold_no_weights_are_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        th.save([1, 2] if content == "list" else {}, path)
    with pytest.raises(ValueError, match=r"got visual='.*weights.pth', which") as error:
        load_visual(_extractor(), path)
    assert "\n" not in str(error.value)


# ---- learning ----


@pytest.mark.slow
def test_rewards_alone_teach_to_do_what_is_said() -> None:
    """Two types and some values: 1 is the best reward, 0 that of doing nothing."""
    types = [{"type": kind, "largest": 12.0, "smallest": 5.5} for kind in ("MoveX", "MoveY")]
    extractor = {**SMALL, "blocks": ["cross"], "stem": "linear"}
    model = _model(
        n_envs=32,
        n_parameters=4,
        learning_rate=2e-3,
        policy_kwargs={"features_extractor_kwargs": extractor},
        parts={"actions": types},
    )

    def measured(split: str) -> tuple[float, float]:
        env = InverseVecEnv(ENV, 200, seed=1, actions=types, split=split)
        observation, true = env.reset(), env.core.true_types.copy()
        actions, _ = model.predict(observation, deterministic=True)
        said = env.view.decode(actions)["type"]
        return float((said == true).mean()), float(env.step(actions)[1].mean())

    right, reward = measured("train")
    assert right < 0.8 and reward < 0.1
    model.learn(32 * 150)
    right, reward = measured("train")
    assert right > 0.95 and reward > 0.7
    # among wordings and values that were never heard
    right, reward = measured("validation")
    assert right > 0.9 and reward > 0.6
