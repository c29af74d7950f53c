"""Networks of torchvision and timm as encoders of larger glimpses."""

import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from tiny import TinyGlimpse
from torch import nn
from torchvision import models
from updates import assert_ratios_are_one

from glimpse_envs import GlimpseConfig
from glimpse_envs.strategies import Uniform
from policies import GlimpsePolicy, TorchClassifier
from policies.classifier.trainer import Fitter, pretrain
from policies.extractors.backbones import Backbone, _make_stateless, weights_come_later
from policies.extractors.layers import GlimpseEncoder

th.set_num_threads(1)

NAMES = ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0", "densenet121"]
TIMM_NAMES = ["resnet18", "test_vit", "mobilenetv3_small_050", "ghostnet_050", "tiny_vit_5m_224"]
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def _backbone(name: str, channels: int = 3, side: int = 32, output_dim: int = 10) -> Backbone:
    th.manual_seed(0)
    return Backbone(name, channels, side, side, output_dim)


def _is_stateless(net: nn.Module, channels: int) -> bool:
    """Whether training and evaluation compute the same, alone and among others, again and again."""
    glimpse, results = th.rand(3, channels, 32, 32), []
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for mode in (True, True, False):
        net.train(mode)
        results.append(net(glimpse))
    one_by_one = th.cat([net(row[None]) for row in glimpse])
    th.testing.assert_close(one_by_one, results[0], atol=1e-4, rtol=1e-4)
    assert all(th.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    return all(th.equal(result, results[0]) for result in results[1:])


# ---- torchvision ----


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_torchvision_is_taken_by_name(name: str, channels: int):
    net = _backbone(f"torchvision:{name}", channels)
    assert not any(isinstance(module, BATCH_NORM) for module in net.modules())
    assert any(isinstance(module, nn.GroupNorm) for module in net.modules())
    output = net(th.rand(3, channels, 32, 32))
    assert output.shape == (3, 10) and output.isfinite().all()
    assert not th.allclose(output[0], output[1])
    assert _is_stateless(net, channels)


def test_grey_glimpses_are_seen_as_colours_that_are_equal():
    net, grey = _backbone("torchvision:resnet18", 1), th.rand(2, 1, 32, 32)
    colour = _backbone("torchvision:resnet18", 3)
    colour.load_state_dict(net.state_dict())
    th.testing.assert_close(net(grey), colour(grey.repeat(1, 3, 1, 1)))


def test_a_transformer_of_torchvision_gets_the_size_of_the_glimpses():
    net = _backbone("torchvision:vit_b_32", 1, 64)
    assert net.net.image_size == 64
    assert net(th.rand(1, 1, 64, 64)).shape == (1, 10)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_more_than_one_output_give_one_or_are_refused(name: str):
    try:
        net = _backbone(f"torchvision:{name}", side=96)
    except ValueError:
        return
    assert isinstance(net.train()(th.rand(2, 3, 96, 96)), th.Tensor)


@pytest.mark.parametrize(
    ("name", "side"), [("densenet121", 8), ("mobilenet_v2", 8), ("squeezenet1_1", 8)]
)
def test_glimpses_that_are_too_small_are_named_with_what_to_do(name: str, side: int):
    want = rf"torchvision:{name} does not take glimpses of {side} x {side} \(.*\); make larger ones"
    with pytest.raises(ValueError, match=want):
        _backbone(f"torchvision:{name}", 1, side)


def test_glimpses_that_do_not_fit_a_transformer_are_named():
    with pytest.raises(ValueError, match=r"'vit_b_32' for 8 x 8"):
        _backbone("torchvision:vit_b_32", 1, 8)
    with pytest.raises(ValueError, match="does not take glimpses of 32 x 96"):
        Backbone("torchvision:vit_b_32", 3, 32, 96, 10)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match=r"9 channels; torchvision:resnet18 takes 1 or 3"):
        _backbone("torchvision:resnet18", 9)


@pytest.mark.parametrize("name", ["resnet17", "", "retinanet_resnet50_fpn_v0"])
def test_unknown_names_are_refused(name: str):
    with pytest.raises(ValueError, match=f"torchvision cannot make a classifier '{name}'"):
        _backbone(f"torchvision:{name}")


def test_networks_for_other_tasks_are_refused_without_a_download(monkeypatch):
    downloads = []

    def download(url: str, **kwargs) -> None:
        downloads.append(url)
        raise ValueError("untrained networks need no weights")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    with pytest.raises(ValueError, match="fcn_resnet50"):
        _backbone("torchvision:fcn_resnet50", 3, 64)
    assert not downloads


def test_an_unknown_library_is_refused():
    with pytest.raises(ValueError, match=r"'keras:resnet18'.*torchvision:resnet18"):
        GlimpseEncoder(1, 32, 32, encoder="keras:resnet18")


# ---- timm ----


@pytest.mark.parametrize(
    ("name", "channels"), [*((name, 3) for name in TIMM_NAMES), ("test_vit", 1), ("resnet18", 9)]
)
def test_a_network_of_timm_is_taken_by_name(name: str, channels: int):
    pytest.importorskip("timm")
    net = _backbone(f"timm:{name}", channels)
    assert not any(isinstance(module, BATCH_NORM) for module in net.modules())
    output = net(th.rand(3, channels, 32, 32))
    assert output.shape == (3, 10) and output.isfinite().all()
    assert not th.allclose(output[0], output[1])
    assert _is_stateless(net, channels)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "efficientnet_b0"])
def test_a_network_of_timm_keeps_its_activations(name: str):
    timm = pytest.importorskip("timm")

    def n_activations(net: nn.Module) -> int:
        kinds = (nn.ReLU, nn.SiLU, nn.Hardswish)
        return sum(isinstance(module, kinds) for module in net.modules())

    stock = timm.create_model(name, num_classes=10)
    assert n_activations(_backbone(f"timm:{name}")) == n_activations(stock) > 0


def test_unknown_names_of_timm_are_refused():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"timm cannot make 'resnet17'.*Unknown model"):
        _backbone("timm:resnet17")


def test_glimpses_that_a_network_of_timm_does_not_take_are_named():
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"timm:test_vit does not take glimpses of 8 x 8"):
        _backbone("timm:test_vit", 1, 8)


def test_without_timm_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    want = r"'timm:resnet18' needs timm, which is not installed: pip install .*\[backbones\]"
    with pytest.raises(ImportError, match=want):
        _backbone("timm:resnet18")
    assert _backbone("torchvision:resnet18") is not None


# ---- in a policy ----


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_ppo_learns_with_a_network_by_name(tmp_path, channels: int):
    env = make_vec_env(lambda: TinyGlimpse(glimpse=(32, 32, channels)), 4, seed=0)
    extractor = {"encoder": "torchvision:mobilenet_v3_small", "glimpse_dim": 16}
    model = PPO(
        GlimpsePolicy,
        env,
        n_steps=8,
        batch_size=16,
        n_epochs=1,
        seed=0,
        policy_kwargs={"features_extractor_kwargs": extractor, "net_arch": [16]},
        device="cpu",
    )
    assert_ratios_are_one(model, tolerance=1e-4)  # many layers, and batches of other sizes
    before = model.policy.parameters_to_vector()
    model.learn(64)
    assert (model.policy.parameters_to_vector() != before).any()
    obs = env.reset()
    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", device="cpu")
    want, _ = model.predict(obs, deterministic=True)
    assert (loaded.predict(obs, deterministic=True)[0] == want).all()


# ---- pretrained ----


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a network that was trained on something, of all that it has."""
    th.manual_seed(1)
    net = models.get_model("mobilenet_v3_small")
    for module in net.modules():
        if isinstance(module, BATCH_NORM):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    th.save(net.state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.pth"


def pretrained(weights: Path, **arguments: object) -> Backbone:
    name = f"torchvision:mobilenet_v3_small@{weights}"
    return Backbone(name, 3, 32, 32, 10, **arguments)


def test_a_pretrained_network_computes_what_it_learnt_up_to_its_last_layer(weights: Path):
    net, original = pretrained(weights), models.get_model("mobilenet_v3_small").eval()
    original.load_state_dict(th.load(weights, weights_only=True))
    glimpse = th.rand(4, 3, 32, 32)
    mean, std = th.tensor([0.485, 0.456, 0.406]), th.tensor([0.229, 0.224, 0.225])
    normalised = (glimpse - mean[:, None, None]) / std[:, None, None]
    original.classifier[3] = net.net.classifier[3]  # begins anew, with other outputs
    th.testing.assert_close(net(glimpse), original(normalised), atol=1e-5, rtol=1e-4)
    assert net(glimpse).shape == (4, 10) and _is_stateless(net, 3)
    # a classifier's memory shows black as -1
    shown = pretrained(weights, black=-1.0)
    shown.load_state_dict(net.state_dict())
    th.testing.assert_close(shown(2.0 * glimpse - 1.0), net(glimpse), atol=1e-4, rtol=1e-4)


def test_a_pretrained_network_with_more_outputs_is_made_alike_when_it_is_loaded(tmp_path: Path):
    th.save(models.googlenet(init_weights=False).state_dict(), tmp_path / "net.pth")
    arguments = (f"torchvision:googlenet@{tmp_path / 'net.pth'}", 3, 64, 64, 10)
    net = Backbone(*arguments)
    (tmp_path / "net.pth").unlink()
    with weights_come_later():
        loaded = Backbone(*arguments)
    loaded.load_state_dict(net.state_dict())
    glimpse = th.rand(2, 3, 64, 64)
    th.testing.assert_close(loaded(glimpse), net(glimpse))


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm1d(6), (3, 6)), (nn.BatchNorm2d(6), (3, 6, 4, 4))]
)
def test_norms_keep_their_statistics_and_learn_their_scales(norm: nn.Module, shape: tuple):
    norm.running_mean += th.rand(6)
    features, net = th.randn(shape), nn.Sequential(norm)
    wanted = norm.eval()(features)
    _make_stateless(net, keeps_statistics=True)
    th.testing.assert_close(net.train()(features), wanted)
    assert len(list(net.parameters())) == 2 and len(list(net.buffers())) == 2


def test_of_a_frozen_network_the_last_layer_learns(weights: Path):
    net = pretrained(weights, frozen=True)
    learning = [name for name, weight in net.named_parameters() if weight.requires_grad]
    assert learning == ["net.classifier.3.weight", "net.classifier.3.bias"]
    assert all(weight.requires_grad for weight in pretrained(weights).parameters())


def test_a_classifier_learns_on_a_frozen_network_and_is_loaded_without_its_file(
    weights: Path, tmp_path: Path
):
    encoder = f"torchvision:mobilenet_v3_small@{weights}"
    config = GlimpseConfig(
        scheme="Saccade",
        sensor={"type": "Crop", "size": 32},
        scene={"type": "TranslatedCanvas", "side": 40},
        classifier={"type": "gru", "encoder": encoder, "freeze_encoder": True, "hidden_size": 16},
        budget=2,
    )
    classifier = config.classifier
    frozen = {k: v.clone() for k, v in classifier.memory.what.state_dict().items() if "3." not in k}
    before = classifier.memory.what.net.net.classifier[3].weight.clone()
    for _ in pretrain(Fitter(classifier), config, Uniform(), 32, batch_size=16, seed=0):
        pass
    assert not th.equal(before, classifier.memory.what.net.net.classifier[3].weight)
    after = classifier.memory.what.state_dict()
    assert all(th.equal(after[name], tensor) for name, tensor in frozen.items())
    classifier.save(tmp_path / "classifier.pt")
    weights.unlink()
    loaded = TorchClassifier.load(tmp_path / "classifier.pt")
    assert loaded.digest() == classifier.digest()


@pytest.mark.parametrize(
    ("name", "frozen", "message"),
    [
        ("torchvision:resnet18", True, "untrained network 'torchvision:resnet18', frozen; wanted"),
        ("torchvision:resnet18@", False, "without weights; wanted torchvision:resnet18@pretrained"),
        ("torchvision:resnet18@IMAGENET", False, "pretrained, IMAGENET1K_V1, DEFAULT"),
        ("torchvision:resnet18@nowhere.pth", False, "nowhere.pth cannot be loaded"),
        ("torchvision:resnet18@{weights}", False, "wanted a file of torch.save"),
        ("torchvision:squeezenet1_1@pretrained", False, "Conv2d; wanted a linear one"),
    ],
)
def test_weights_that_are_not_there_or_do_not_fit_are_refused(
    name: str, frozen: bool, message: str, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", _of_squeezenet)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", _of_squeezenet)
    with pytest.raises(ValueError, match=message):
        Backbone(name.format(weights=weights), 3, 64, 64, 10, frozen)


def _of_squeezenet(*_: object, **__: object) -> dict[str, th.Tensor]:
    return models.squeezenet1_1().state_dict()


def test_without_a_connection_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(ValueError, match=r"not on this machine.*TORCH_HOME.*@FILE\.pth"):
        _backbone("torchvision:resnet18@pretrained")
    with weights_come_later():  # of a saved model nothing has to be fetched
        _backbone("torchvision:resnet18@pretrained")


def test_only_pretrained_networks_can_be_frozen():
    with pytest.raises(ValueError, match="freeze_encoder=True with encoder 'mlp'"):
        GlimpseEncoder(1, 8, 8, encoder="mlp", frozen=True)
