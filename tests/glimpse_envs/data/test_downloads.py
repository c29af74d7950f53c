"""Packed files and downloads: whole or named as broken, and never half written."""

import errno
import os
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from images import arrays, noise

from glimpse_envs.data import downloads
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.downloads import pack_dataset
from glimpse_envs.data.loaders import load_dataset

pytestmark = pytest.mark.usefixtures("data_dir")


def test_pack_and_load_round_trip(data_dir):
    data = arrays()
    path = pack_dataset(data_dir / "tiny.npz", **data, classes=["a", "b", "ü"])
    loaded = load_dataset("tiny")
    expected = ImageDataset.from_arrays(**data)
    assert loaded.digest == expected.digest and loaded.classes == ("a", "b", "ü")
    assert loaded.name == loaded.source == "tiny"
    assert os.listdir(data_dir) == [path.name]
    with np.load(path) as file:
        assert set(file) == set(downloads.KEYS) and file["train_labels"].dtype == np.uint8


def test_a_packed_file_of_a_known_name_may_lack_the_channel(data_dir):
    pack_dataset(data_dir / "mnist.npz", **arrays(shape=(28, 28)))
    assert load_dataset("mnist").image_shape == (28, 28, 1)


def test_a_packed_file_of_a_known_name_must_have_its_shape(data_dir):
    pack_dataset(data_dir / "cifar10.npz", **arrays(shape=(28, 28)))
    with pytest.raises(
        DatasetError, match=r"cifar10.npz: .*\(28, 28, 1\); wanted \(32, 32, 3\).*delete"
    ):
        load_dataset("cifar10")


@pytest.mark.parametrize("keep", [0, 10, 300, 0.5, -1])
def test_a_truncated_file_is_named(data_dir, keep):
    path = pack_dataset(data_dir / "mnist.npz", **arrays(shape=(28, 28)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(DatasetError, match=r"mnist.npz: .*whole copy, or delete it"):
        load_dataset("mnist")


def test_a_flipped_byte_is_noticed_and_a_mended_file_loads(data_dir):
    path = pack_dataset(data_dir / "tiny.npz", **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
    with pytest.raises(DatasetError, match=r"tiny.npz: .*CRC.*pack_dataset"):
        load_dataset("tiny")
    path.write_bytes(whole)
    assert load_dataset("tiny").n_classes == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": None}, "classes missing; wanted train_images"),
        ({"classes": np.arange(3)}, r"got classes int64 \(3,\); wanted strings \(K,\)"),
        ({"classes": np.array(["a", None, "c"], dtype=object)}, "got no readable npz"),
        ({"train_images": np.zeros((60, 6, 5, 3), np.float32)}, "uint8"),
        ({"test_labels": np.full(12, 3)}, r"test: got labels in .*wanted 0\.\.2"),
        ({"test_images": noise(0, 6, 5, 3), "test_labels": np.arange(0)}, "test: .*non-empty"),
    ],
)
def test_a_wrong_packed_file_is_named(data_dir, change, message):
    data = arrays() | {"classes": np.array(["a", "b", "c"])} | change
    data_dir.mkdir()
    np.savez(data_dir / "own.npz", **{k: v for k, v in data.items() if v is not None})
    with pytest.raises(DatasetError, match=f"own.npz: .*{message}.*pack_dataset"):
        load_dataset("own")


def test_a_npy_file_under_the_name_of_an_npz_is_refused(data_dir):
    data_dir.mkdir()
    with (data_dir / "own.npz").open("wb") as file:
        np.save(file, noise(3, 3))
    with pytest.raises(DatasetError, match=r"own.npz: got no readable npz"):
        load_dataset("own")


@pytest.mark.parametrize("target", ["numpy.savez", "os.replace"])
def test_a_full_disk_leaves_no_partial_file(data_dir, monkeypatch, target):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(target, full)
    with pytest.raises(DatasetError, match=r"tiny.npz could not be written.*No space.*make room"):
        pack_dataset(data_dir / "tiny.npz", **arrays())
    assert os.listdir(data_dir) == []


def test_pack_checks_before_it_writes(data_dir):
    with pytest.raises(DatasetError, match="uint8"):
        pack_dataset(data_dir / "tiny.npz", **(arrays() | {"test_images": np.zeros((12, 6, 5, 3))}))
    with pytest.raises(DatasetError, match=r"got 'tiny'.*wanted NAME.npz"):
        pack_dataset(data_dir / "tiny", **arrays())
    assert not data_dir.exists()


# ---- downloads ----


class FakeMNIST:
    """What torchvision's class looks like from outside, without its network."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download and Path(root).is_dir()
        (Path(root) / "raw").write_bytes(b"left behind")
        self.data = noise(40 if train else 20, 28, 28)
        self.targets = (np.arange(len(self.data)) % 10).tolist()


def test_a_download_is_packed_and_leaves_only_that(data_dir, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", FakeMNIST)
    data = load_dataset("fashion_mnist")
    assert data.image_shape == (28, 28, 1) and data.classes[9] == "Ankle boot"
    assert os.listdir(data_dir) == ["fashion_mnist.npz"]


@pytest.mark.parametrize(
    "error",
    [URLError("Name or service not known"), RuntimeError("File not found or corrupted.")],
)
def test_without_a_network_one_error_gives_the_ways_on(data_dir, monkeypatch, error):
    import socket

    timeouts = []

    def unreachable(root: str, **kwargs):
        timeouts.append(socket.getdefaulttimeout())
        (Path(root) / "part").write_bytes(b"half a file")
        raise error

    monkeypatch.setattr("torchvision.datasets.CIFAR10", unreachable)
    with pytest.raises(DatasetError) as raised:
        load_dataset("cifar10")
    message = str(raised.value)
    for part in ("'cifar10'", str(data_dir / "cifar10.npz"), "GLIMPSE_DATA_DIR", "digits"):
        assert part in message
    assert "folder:PATH" in message and "(N, 32, 32, 3)" in message and "train_labels" in message
    assert os.listdir(data_dir) == []
    assert timeouts == [20.0] and socket.getdefaulttimeout() is None


def test_a_data_directory_that_is_a_file_is_named(data_dir):
    data_dir.write_text("")
    with pytest.raises(DatasetError, match=f"{data_dir}"):
        load_dataset("mnist")


@pytest.mark.parametrize("member", ["train_images", "test_labels", "classes"])
@pytest.mark.parametrize("content", [b"", b"no header", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{"])
def test_a_member_without_a_header_is_named(data_dir, member, content):
    path = pack_dataset(data_dir / "own.npz", **arrays())
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as broken:
        for name, data in (members | {f"{member}.npy": content}).items():
            broken.writestr(name, data)
    with pytest.raises(DatasetError, match=r"own.npz: got no .*pack_dataset"):
        load_dataset("own")
