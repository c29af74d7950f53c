"""The file of a classifier: it comes back as it was, or not at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from episodes import beliefs, classifier, shake

from policies.classifier.memory import MEMORIES
from policies.classifier.model import ClassifierError, TorchClassifier, read_file


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_classifier_comes_back_from_its_file(kind, tmp_path):
    reader = classifier(kind, seed=3)
    shake(reader)
    reader.temperatures.uniform_(0.5, 2.0)
    digest = reader.save(tmp_path / "deeper" / "c.pt", optimizer={"step": th.ones(2)}, pretrained=4)
    again = TorchClassifier.load(tmp_path / "deeper" / "c.pt")
    assert again.digest() == digest == reader.digest()
    assert again.specification() == reader.specification() and again.view == reader.view
    np.testing.assert_array_equal(beliefs(reader), beliefs(again))
    extras = read_file(tmp_path / "deeper" / "c.pt")["extras"]
    assert extras["pretrained"] == 4 and th.equal(extras["optimizer"]["step"], th.ones(2))
    assert [file.name for file in (tmp_path / "deeper").iterdir()] == ["c.pt"]


def test_the_digest_tells_weights_statistics_and_network_apart():
    reader = classifier()
    digests = {reader.digest(), classifier(residual=False).digest(), classifier(seed=1).digest()}
    with th.no_grad():
        reader.readout.bias[0] += 1e-3
    digests.add(reader.digest())
    next(b for name, b in reader.named_buffers() if "running_mean" in name)[0] += 1e-3
    digests.add(reader.digest())
    reader.temperatures[0] += 1e-3
    assert len(digests | {reader.digest()}) == 6


def test_the_file_holds_tensors_and_plain_types_alone(tmp_path):
    classifier().save(tmp_path / "c.pt", note="x")
    content = th.load(tmp_path / "c.pt", weights_only=True)
    assert set(content) == {"specification", "weights", "digest", "extras"}


def test_loading_runs_no_code_hidden_in_a_file(tmp_path: Path):
    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "exploded"),)

    classifier().save(tmp_path / "c.pt", bomb=Bomb())
    with pytest.raises(ClassifierError, match="cannot be read"):
        TorchClassifier.load(tmp_path / "c.pt")
    assert not (tmp_path / "exploded").exists()


def change_weights(content: dict[str, Any]) -> None:
    content["weights"]["readout.bias"] += 1.0


def change_digest(content: dict[str, Any]) -> None:
    content["digest"] = "0" * 16


def change_size(content: dict[str, Any]) -> None:
    content["specification"]["settings"]["width"] = 4


def drop_weights(content: dict[str, Any]) -> None:
    del content["weights"]["readout.bias"]


def drop_extras(content: dict[str, Any]) -> None:
    del content["extras"]


def drop_view(content: dict[str, Any]) -> None:
    del content["specification"]["view"]


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (change_weights, "does not have the weights"),
        (change_digest, "does not have the weights"),
        (change_size, "is broken"),
        (drop_weights, "is broken"),
        (drop_extras, "is no classifier"),
        (drop_view, "broken|no classifier"),
    ],
)
def test_a_file_that_was_changed_is_refused(tamper, message, tmp_path):
    classifier().save(tmp_path / "c.pt")
    content = read_file(tmp_path / "c.pt")
    tamper(content)
    th.save(content, tmp_path / "c.pt")
    with pytest.raises(ClassifierError, match=message):
        TorchClassifier.load(tmp_path / "c.pt")


def test_a_missing_or_broken_file_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match="there is no classifier"):
        TorchClassifier.load(tmp_path / "c.pt")
    classifier().save(tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:1000])
    with pytest.raises(ClassifierError, match="cannot be read"):
        TorchClassifier.load(tmp_path / "c.pt")
    th.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ClassifierError, match="is no classifier"):
        TorchClassifier.load(tmp_path / "list.pt")


def test_a_file_of_an_earlier_version_is_named_so(tmp_path):
    classifier().save(tmp_path / "c.pt")
    content = read_file(tmp_path / "c.pt")
    del content["weights"]["temperatures"]
    th.save(content, tmp_path / "c.pt")
    with pytest.raises(ClassifierError, match="of an earlier version"):
        TorchClassifier.load(tmp_path / "c.pt")
