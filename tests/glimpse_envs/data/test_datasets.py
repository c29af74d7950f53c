"""Splits and data sets of arrays: read-only, validated, copied and pickled."""

import copy
import pickle

import numpy as np
import pytest
from images import arrays, noise

from glimpse_envs.data import datasets
from glimpse_envs.data.datasets import DatasetError, ImageDataset, Split


def test_split_is_read_only_contiguous_and_leaves_the_callers_array_writeable():
    images = np.asfortranarray(noise(4, 6, 5, 3))
    labels = np.arange(4)
    split = Split(images, labels)
    assert len(split) == 4
    assert split.images.flags.c_contiguous and split.labels.dtype == np.int64
    for array in (split.images, split.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    labels[0] = 0


def test_derived_is_built_once_read_only_and_not_pickled():
    split = Split(noise(4, 6, 5), np.arange(4))
    calls = []

    def build(images: np.ndarray) -> np.ndarray:
        calls.append(images.shape)
        return images.astype(np.uint32).sum(axis=(1, 2))

    sums = split.derived("sums", build)
    assert split.derived("sums", build) is sums
    assert calls == [(4, 6, 5, 1)]
    assert not sums.flags.writeable
    again = pickle.loads(pickle.dumps(split))
    np.testing.assert_array_equal(again.images, split.images)
    assert not again.images.flags.writeable and not again._memo


def test_from_arrays_cuts_a_tenth_for_validation_always_the_same():
    data = arrays(n_train=200)
    one, two = ImageDataset.from_arrays(**data), ImageDataset.from_arrays(**data)
    assert [len(one.split(s)) for s in datasets.SPLITS] == [180, 20, 12]
    np.testing.assert_array_equal(one.validation.images, two.validation.images)
    assert one.digest == two.digest

    # Train and validation together are what was given, each image once and with its label.
    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
        return sorted((i.tobytes(), int(k)) for i, k in zip(images, labels, strict=True))

    cut = [(s.images, s.labels) for s in (one.train, one.validation)]
    together = [np.concatenate(parts) for parts in zip(*cut, strict=True)]
    assert rows(*together) == rows(data["train_images"], data["train_labels"])


def test_from_arrays_keeps_every_class_in_train():
    labels = np.r_[np.zeros(40, int), np.arange(1, 30)]  # 29 classes of one image
    data = ImageDataset.from_arrays(noise(69, 4, 4), labels, noise(1, 4, 4), [0])
    assert set(data.train.labels) == set(range(30))
    assert set(data.validation.labels) == {0} and len(data.validation) == 7
    assert data.n_classes == 30 and data.classes[29] == "29"


def test_from_arrays_adds_the_channel_and_names_shapes():
    data = ImageDataset.from_arrays(**arrays(shape=(6, 5)), classes=["a", "b", "c"])
    assert data.image_shape == (6, 5, 1) and data.train.images.shape == (54, 6, 5, 1)
    assert data.classes == ("a", "b", "c") and data.name == "custom" and data.source is None


def test_digest_depends_on_pixels_and_labels():
    data = arrays()
    before = ImageDataset.from_arrays(**data).digest
    data["test_images"][0, 0, 0, 0] ^= 1
    changed_pixel = ImageDataset.from_arrays(**data).digest
    data["test_labels"] = data["test_labels"][::-1]
    assert len({before, changed_pixel, ImageDataset.from_arrays(**data).digest}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train_images": np.zeros((60, 6, 5, 3))},
            r"train: got images float64; wanted uint8.*astype\(np.uint8\)",
        ),
        ({"train_images": noise(60, 6)}, r"train: got images \(60, 6\); wanted \(N, H, W, C\)"),
        ({"test_images": noise(0, 6, 5, 3)}, r"test: .*non-empty"),
        ({"test_images": noise(12, 3, 6, 5)}, r"test: .*channels-first.*transpose"),
        ({"test_images": noise(12, 6, 6, 3)}, r"test: got images 6 x 6 x 3; wanted 6 x 5 x 3"),
        ({"train_images": [[1], [1, 2]]}, r"train: "),
        ({"train_labels": np.zeros(60)}, r"train: got labels float64; wanted integers"),
        ({"train_labels": np.arange(59) % 3}, r"train: got labels \(59,\); wanted \(60,\)"),
        ({"train_labels": np.arange(60) % 3 + 1}, r"train: got labels in 1\.\.3; wanted 0\.\.2"),
        ({"train_labels": np.arange(60) % 3 * 10**12}, r"train: got labels in .*wanted 0\.\.2"),
        ({"test_labels": np.arange(12) - 1}, r"got labels in -1\.\.10; wanted 0\.\.2"),
        ({"train_labels": np.zeros(60, int)}, r"at least two"),
        ({"classes": ["a", "b", "c", "d"]}, r"no image of class 'd' \(label 3\)"),
        ({"classes": ["a", "b", "b"]}, r"different names"),
        ({"train_images": noise(3, 6, 5, 3), "train_labels": [0, 1, 2]}, r"none for validation"),
    ],
)
def test_from_arrays_says_what_is_wrong(change, message):
    with pytest.raises(DatasetError, match=message):
        ImageDataset.from_arrays(**(arrays() | change))


def test_unknown_split_names_the_nearest():
    data = ImageDataset.from_arrays(**arrays())
    assert data.split("validation") is data.validation
    with pytest.raises(DatasetError, match=r"'validaton'.*did you mean 'validation'"):
        data.split("validaton")


def test_copies_are_the_data_set_itself():
    data = ImageDataset.from_arrays(**arrays())
    assert copy.copy(data) is data and copy.deepcopy({"dataset": data})["dataset"] is data
    assert copy.deepcopy(data.train) is data.train


def test_pickle_of_own_arrays_carries_them():
    data = ImageDataset.from_arrays(**arrays(), name="mine", classes=["a", "b", "c"])
    again = pickle.loads(pickle.dumps(data))
    assert again is not data and again.name == "mine" and again.classes == data.classes
    assert again.digest == data.digest and not again.train.images.flags.writeable
