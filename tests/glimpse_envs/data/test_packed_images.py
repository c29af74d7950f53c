"""Image folders that are packed into a file, against the same folders in memory."""

import errno
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from images import noise
from PIL import Image

from glimpse_envs import ImageDataset
from glimpse_envs.data import folders, packed_images
from glimpse_envs.data.datasets import SPLITS, DatasetError
from glimpse_envs.data.folders import load_folder
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.data.packed_images import MappedFile
from glimpse_envs.envs import GlimpseVectorEnv
from glimpse_envs.pyramid import pyramid


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLIMPSE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of 20 images, 24 x 30."""
    root = tmp_path / "pictures"
    for k, image in enumerate(noise(40, 24, 30, 3)):
        folder = root / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{k:02}.png")
    return root


def pack_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LARGEST_IN_MEMORY", 0)


def packed(root: Path, monkeypatch: pytest.MonkeyPatch) -> ImageDataset:
    with monkeypatch.context() as patch:
        pack_all(patch)
        return load_folder(root)


def same(one: ImageDataset, other: ImageDataset) -> None:
    assert one.classes == other.classes
    for name in SPLITS:
        np.testing.assert_array_equal(one.split(name).images, other.split(name).images)
        np.testing.assert_array_equal(one.split(name).labels, other.split(name).labels)


def test_a_packed_folder_is_the_folder(pictures, monkeypatch):
    data = packed(pictures, monkeypatch)
    same(data, load_folder(pictures))
    assert data.train.touched is not None and not data.train.images.flags.writeable
    assert len(data.digest) == 16


def test_a_folder_of_all_three_splits_is_packed_as_it_is(pictures, tmp_path, monkeypatch):
    root = tmp_path / "splits"
    for name in ("train", "validation", "test"):
        shutil.copytree(pictures, root / name)
    shutil.rmtree(root / "validation" / "a")
    data = packed(root, monkeypatch)
    same(data, load_folder(root))
    assert [len(data.split(name)) for name in SPLITS] == [40, 20, 40]


def test_what_was_packed_is_not_decoded_again(pictures, data_directory, monkeypatch):
    first = packed(pictures, monkeypatch)
    monkeypatch.setattr(folders, "read_image", lambda *_: pytest.fail("decoded again"))
    again = packed(pictures, monkeypatch)
    same(again, first)
    assert again.digest == first.digest
    assert np.load(next((data_directory / "packed").glob("*.npy")), mmap_mode="r").shape[0] == 40


def test_a_changed_file_is_packed_anew(pictures, monkeypatch):
    before = packed(pictures, monkeypatch)
    Image.fromarray(noise(1, 24, 30, 3, seed=5)[0]).save(pictures / "a" / "00.png")
    after = packed(pictures, monkeypatch)
    same(after, load_folder(pictures))
    assert after.digest != before.digest


@pytest.mark.parametrize("cut", [0, 1000])
def test_packing_goes_on_where_it_was_stopped(pictures, data_directory, monkeypatch, cut):
    read, n_read = folders.read_image, []

    def stopped(file, how):
        if len(n_read) == 12:
            raise KeyboardInterrupt
        n_read.append(file)
        return read(file, how)

    monkeypatch.setattr(packed_images, "_TOGETHER", 4)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "read_image", stopped)
        with pytest.raises(KeyboardInterrupt):
            packed(pictures, patch)
    partial = next((data_directory / "packed").glob("*.partial"))
    if cut:  # in the middle of an image
        with partial.open("r+b") as file:
            file.truncate(partial.stat().st_size - cut)
    n_read.clear()
    monkeypatch.setattr(
        folders, "read_image", lambda file, how: (n_read.append(file), read(file, how))[1]
    )
    data = packed(pictures, monkeypatch)
    assert len(n_read) == (29 if cut else 28)
    monkeypatch.setattr(folders, "read_image", read)
    same(data, load_folder(pictures))
    whole = data.digest
    shutil.rmtree(data_directory)
    assert packed(pictures, monkeypatch).digest == whole
    assert not list((data_directory / "packed").glob("*.partial"))


def test_a_broken_image_is_named_and_the_others_stay_packed(pictures, data_directory, monkeypatch):
    broken = pictures / "b" / "39.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"39\.png cannot be read as an image"):
        packed(pictures, monkeypatch)


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    pictures, data_directory, monkeypatch
):
    usage = shutil.disk_usage(pictures)._replace(free=1000)
    monkeypatch.setattr(packed_images.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(folders, "read_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(
        DatasetError, match=r"packed, is full: make room \(0\.0 GB in all.*DATA_DIR"
    ):
        packed(pictures, monkeypatch)


def test_a_disk_that_fills_while_packing_is_a_message_and_loses_nothing(
    pictures, data_directory, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packed_images.os, "fsync", full)
        with pytest.raises(DatasetError, match="is full: make room"):
            packed(pictures, patch)
    monkeypatch.setattr(folders, "read_image", lambda *_: pytest.fail("decoded again"))
    assert len(packed(pictures, monkeypatch).train) == 29


def test_images_without_contrast_are_told_of_packed_ones_too(pictures, monkeypatch):
    Image.fromarray(np.full((24, 30, 3), 7, np.uint8)).save(pictures / "a" / "00.png")
    for _ in range(2):  # while packing, and when they are found packed
        with pytest.warns(UserWarning, match=r"1 of 40 images have no contrast.*00\.png"):
            packed(pictures, monkeypatch)


def test_environments_show_packed_images(pictures, monkeypatch):
    pack_all(monkeypatch)
    monkeypatch.setattr(packed_images, "_TOUCHED", 4000)  # given back after every other image
    data = load_dataset(f"folder:{pictures}")
    parts = {"sensor": {"type": "Crop", "size": 6}, "scheme": "MultiCategorical", "budget": 3}
    environments = [
        GlimpseVectorEnv(4, dataset=shown, **parts)
        for shown in (data, in_memory(data), pickle.loads(pickle.dumps(data)))
    ]
    for env in environments:
        env.action_space.seed(0)
    shown = [env.reset(seed=0)[0] for env in environments]
    for _ in range(20):
        for other in shown[1:]:
            np.testing.assert_array_equal(other["glimpse"], shown[0]["glimpse"])
        actions = environments[0].action_space.sample()
        shown = [env.step(actions)[0] for env in environments]


def in_memory(data: ImageDataset) -> ImageDataset:
    splits = {
        name: type(data.train)(data.split(name).images.copy(), data.split(name).labels)
        for name in SPLITS
    }
    return ImageDataset("copy", classes=data.classes, **splits)


def test_another_kind_of_array_is_refused(tmp_path):
    np.lib.format.write_array((tmp_path / "a.npy").open("wb"), np.zeros(3), version=(2, 0))
    with pytest.raises(ValueError, match=r"array of version \(2, 0\); wanted \(1, 0\)"):
        MappedFile(tmp_path / "a.npy")


def test_smaller_copies_lie_beside_packed_images(tmp_path, monkeypatch, data_directory):
    root = tmp_path / "large"
    for k, image in enumerate(noise(8, 70, 65, 3)):
        (root / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / "ab"[k % 2] / f"{k}.png")
    split = packed(root, monkeypatch).train
    for level, made in zip(split.levels, pyramid(np.array(split.images)), strict=True):
        np.testing.assert_array_equal(level, made)
    assert split.pyramid() is split.levels and not split.levels[1].flags.writeable
    # they are made again where they are missing
    (copy,) = (data_directory / "packed").glob("*-1.npy")
    before = copy.read_bytes()
    copy.unlink()
    packed(root, monkeypatch)
    assert copy.read_bytes() == before
