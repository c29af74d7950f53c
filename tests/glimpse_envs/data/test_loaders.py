"""Data sets by name: loaded once, pickled by name, and refused with what is known."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from images import arrays

from glimpse_envs.data import datasets, loaders
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.downloads import pack_dataset
from glimpse_envs.data.loaders import load_dataset

pytestmark = pytest.mark.usefixtures("data_dir")


def test_a_data_set_passes_through():
    data = ImageDataset.from_arrays(**arrays())
    assert load_dataset(data) is data


def test_digits():
    data = load_dataset("digits")
    assert data.image_shape == (16, 16, 1) and data.n_classes == 10
    assert sum(len(data.split(s)) for s in datasets.SPLITS) == 1797
    assert data.train.images.max() == 255 and data.train.images.min() == 0
    shares = np.bincount(data.test.labels) / np.bincount(
        np.concatenate([data.split(s).labels for s in datasets.SPLITS])
    )
    assert np.abs(shares - 0.2).max() < 0.01  # stratified


def test_loaded_once_and_pickled_by_name():
    data = load_dataset("digits")
    assert load_dataset({"type": "digits"}) is data and data.source == "digits"
    pickled = pickle.dumps(data)
    assert len(pickled) < 200
    assert pickle.loads(pickled) is data


def test_pickle_by_name_loads_in_another_process(data_dir):
    pack_dataset(data_dir / "tiny.npz", **arrays())
    data = load_dataset("tiny")
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).digest, 'torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(data),
        capture_output=True,
        check=True,
        cwd=Path(datasets.__file__).parents[1],
    )
    assert result.stdout.decode().split() == [data.digest, "False"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("minst", r"'minst'.*did you mean 'mnist'.*digits, .*folder:PATH, mnist, .*_DATA_DIR"),
        ("MNIST", r"did you mean 'mnist'"),
        ("../data/tiny", r"got data set .*there is none"),
        (7, r"got data set 7; wanted"),
        ({"size": 7}, r"got data set .*'size': 7.*wanted"),
        ({"type": "mnist", "size": 7}, r"'mnist' has no argument 'size'.*none"),
        ({"type": "folder", "path": "x", "sise": 7}, r"no argument 'sise'.*'size'.*path.*size"),
        ({"type": "folder", "path": "x", "size": [7]}, r"got \[7\].*positive int"),
        ({"type": "folder", "path": "x", "size": True}, r"got True.*positive int"),
        ("folder", r"folder:PATH"),
        ("folder:", r"folder:PATH"),
    ],
)
def test_a_wrong_specification_says_what_is_known(spec, message):
    with pytest.raises(DatasetError, match=message):
        load_dataset(spec)


def test_an_unknown_name_that_is_a_folder_suggests_folder(tmp_path):
    with pytest.raises(DatasetError, match=f"did you mean 'folder:{tmp_path}'"):
        load_dataset(str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="other folders hold the user's cache")
def test_data_directory_is_read_at_each_call(tmp_path, monkeypatch):
    assert loaders.data_directory() == tmp_path / "data"
    monkeypatch.delenv("GLIMPSE_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert loaders.data_directory() == tmp_path / "cache" / "glimpse_envs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loaders.data_directory() == tmp_path / ".cache" / "glimpse_envs"
