"""Every reward term by hand."""

import numpy as np
import pytest

from glimpse_envs import ImageDataset, Reward
from glimpse_envs.rewards import (
    GlimpseCost,
    InformationGain,
    InverseCrossEntropy,
    NearTarget,
    NegativeCrossEntropy,
    NewlySeen,
    Outcome,
    PerStep,
    Sum,
    Terminal,
    TerminalProbability,
    TimeOnTarget,
    UncertaintyReduction,
)
from glimpse_envs.sb3 import GlimpseVecEnv

# four lanes: right and ended, right and going on, wrong and ended, no prediction and ended
OUTCOME = Outcome(
    labels=np.array([0, 1, 1, 2]),
    predictions=np.array([0, 1, 0, -1]),
    ended=np.array([True, False, True, True]),
    took_glimpse=np.array([True, True, False, False]),
    belief=np.float32([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]),
    previous_belief=np.float32([[0.25, 0.25, 0.5], [0.5, 0.5, 0], [0, 1, 0], [0.2, 0.3, 0.5]]),
    newly_seen=np.float32([0.25, 0.125, 0.0, 0.0]),
    target_offsets=np.float32([[0.3, -0.4], [0.0, 0.6], [0.0, 0.0], [2.0, 2.0]]),
)
SURE = np.log(np.float32(1e-7))  # the logarithm of the smallest probability that counts
NEEDY = [
    *(NegativeCrossEntropy(), InverseCrossEntropy(), InformationGain()),
    *(UncertaintyReduction(), TerminalProbability()),
]
FREE = [Terminal(), PerStep(), GlimpseCost(), NewlySeen()]


def assert_earns(reward: Reward, expected: list[float]) -> None:
    earned = reward(OUTCOME)
    assert earned.dtype == np.float32 and earned.shape == (4,)
    np.testing.assert_allclose(earned, expected, rtol=1e-6)


def test_terminal_pays_for_the_right_answer_at_the_end():
    assert_earns(Terminal(), [1, 0, 0, 0])


def test_the_probability_of_the_label_is_paid_at_the_end():
    assert_earns(TerminalProbability(), [0.5, 0, 0, 0.5])


def test_time_on_target_pays_for_every_glimpse_that_holds_its_middle():
    assert_earns(TimeOnTarget(), [1, 0, 0, 0])  # lane 2 is on it and took no glimpse


def test_near_target_falls_off_with_the_distance_in_windows():
    near = [np.exp(-0.5 * (0.5 / 0.5) ** 2), np.exp(-0.5 * (0.6 / 0.5) ** 2), 0, 0]
    assert_earns(NearTarget(), near)
    assert_earns(NearTarget(width=0.25), [np.exp(-2.0), np.exp(-0.5 * 2.4**2), 0, 0])
    both = Sum(terms=["TimeOnTarget", {"type": "NearTarget"}], weights=[2.0, 1.0])
    assert both.needs_target and not both.needs_classifier
    assert_earns(both, [2 + near[0], near[1], 0, 0])


@pytest.mark.parametrize("reward", [TimeOnTarget(), NearTarget()])
def test_a_reward_of_the_target_must_be_asked_for(reward):
    with pytest.raises(ValueError, match="must set needs_target = True"):
        reward(OUTCOME._replace(target_offsets=None))


def test_per_step_pays_for_every_right_prediction():
    assert_earns(PerStep(), [1, 1, 0, 0])


def test_negative_cross_entropy_is_the_labels_log_probability():
    assert_earns(NegativeCrossEntropy(), [np.log(0.5), 0.0, SURE, np.log(0.5)])


def test_inverse_cross_entropy_grows_with_sureness_and_saturates_at_1():
    half = np.tanh(1 / np.log(2))
    assert_earns(InverseCrossEntropy(), [half, 1.0, np.tanh(-1 / SURE), half])


def test_information_gain_is_the_change_of_the_labels_log_probability():
    assert_earns(InformationGain(), [np.log(2), np.log(2), -5.0, 0.0])
    assert_earns(InformationGain(clip=0.5), [0.5, 0.5, -0.5, 0.0])
    assert_earns(InformationGain(clip=100.0), [np.log(2), np.log(2), SURE, 0.0])


def test_uncertainty_reduction_is_the_fall_of_the_beliefs_entropy():
    assert_earns(UncertaintyReduction(), [0.0, np.log(2), 0.0, 0.0])
    told = OUTCOME._replace(labels=np.array([2, 2, 2, 2]))  # whatever the label
    np.testing.assert_array_equal(UncertaintyReduction()(told), UncertaintyReduction()(OUTCOME))


def test_a_glimpse_costs_where_one_was_taken():
    assert_earns(GlimpseCost(), [-0.01, -0.01, 0, 0])
    assert_earns(GlimpseCost(0.5), [-0.5, -0.5, 0, 0])


@pytest.mark.parametrize("reward", [*FREE, *NEEDY])
def test_a_term_says_whether_it_needs_a_classifier(reward):
    blind = OUTCOME._replace(belief=None, previous_belief=None)
    assert reward.needs_classifier == (reward in NEEDY)
    if reward.needs_classifier:
        with pytest.raises(ValueError, match="needs the belief of a classifier"):
            reward(blind)
    else:
        np.testing.assert_array_equal(reward(blind), reward(OUTCOME))


def test_newly_seen_pays_for_what_no_earlier_glimpse_of_the_episode_covered():
    assert_earns(NewlySeen(), [0.25, 0.125, 0.0, 0.0])
    with pytest.raises(ValueError, match="must set needs_newly_seen = True"):
        NewlySeen()(OUTCOME._replace(newly_seen=None))
    assert Sum(("Terminal", Sum(("NewlySeen",)))).needs_newly_seen
    assert not Sum((Terminal(), InformationGain())).needs_newly_seen


def black(n_lanes: int, **parts: object) -> GlimpseVecEnv:
    """Lanes on black images of 32 x 32 that begin at the middle and move by whole windows."""
    images, labels = np.zeros((8, 32, 32, 1), np.uint8), np.arange(8) % 2
    env = GlimpseVecEnv(
        "GlimpseMNIST-MultiCat-v0",
        n_lanes,
        dataset=ImageDataset.from_arrays(images, labels, images, labels),
        scheme={"type": "MultiCategorical", "stride": 1.0},
        start="centre",
        **parts,
    )
    env.reset()
    return env


def test_an_environment_pays_for_what_is_newly_seen():
    reward = {"type": "Sum", "terms": ["NewlySeen", "Terminal"], "weights": [2.0, 0.0]}
    env = black(2, budget=4, reward=reward)
    stay, left, right = 0, 1, 2
    answer = 1
    share = 2 * 8 * 8 / 32**2
    moves = [(right, right), (stay, left), (left, left)]
    paid = [(share, share), (0.0, 0.0), (0.0, share)]
    for move, wanted in zip(moves, paid, strict=True):
        _, rewards, dones, _ = env.step(np.array([[m, 1, 0] for m in move]))
        np.testing.assert_allclose(rewards, wanted, atol=1e-6)
        assert not dones.any()
    _, rewards, dones, _ = env.step(np.array([[0, 1, answer]] * 2))
    assert dones.all() and not rewards.any()  # an answer takes no glimpse


def test_of_a_retina_the_first_scale_sees():
    retina = {"type": "Retina", "size": 8, "scales": 3}  # the last scale sees everything
    env = black(1, sensor=retina, reward="NewlySeen")
    _, rewards, *_ = env.step(np.array([[2, 1, 0]]))  # right
    np.testing.assert_allclose(rewards, 8 * 8 / 32**2, atol=1e-6)


# ---- Sum ----


@pytest.mark.parametrize(
    "terms",
    [
        (Terminal(), GlimpseCost(0.5)),
        ["Terminal", {"type": "GlimpseCost", "cost": 0.5}],
        (Terminal(), {"type": "GlimpseCost", "cost": 0.5}),
    ],
    ids=["objects", "names and dicts", "mixed"],
)
def test_a_sum_takes_objects_names_and_dicts(terms):
    assert_earns(Sum(terms), [0.5, -0.5, 0, 0])
    assert Sum(terms) == Sum((Terminal(), GlimpseCost(0.5)))


def test_a_sum_weighs_its_terms():
    assert_earns(Sum(("Terminal", "PerStep"), weights=(2.0, -0.5)), [1.5, -0.5, 0, 0])


def test_sums_nest():
    inner = {"type": "Sum", "terms": ["Terminal", "PerStep"]}
    assert_earns(Sum((inner, "Terminal"), weights=[0.5, 1.0]), [2, 0.5, 0, 0])


def test_a_sum_needs_a_classifier_if_a_term_does():
    assert not Sum((Terminal(), GlimpseCost())).needs_classifier
    assert Sum((Terminal(), InformationGain())).needs_classifier
    assert Sum((Sum(("InformationGain",)),)).needs_classifier


@pytest.mark.parametrize(
    ("terms", "weights"), [((), None), (("Terminal",), (1.0, 2.0)), (("Terminal", "PerStep"), ())]
)
def test_a_sum_wants_terms_and_a_weight_for_each(terms, weights):
    with pytest.raises(ValueError, match="at least one term and one weight for each"):
        Sum(terms, weights)


def test_a_sum_names_the_nearest_term():
    with pytest.raises(ValueError, match=r"unknown Reward 'terminl'; did you mean 'Terminal'\?"):
        Sum(("terminl",))
