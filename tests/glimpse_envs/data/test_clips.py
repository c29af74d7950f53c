"""Folders of clips: decoded, cropped, scaled, shown frame by frame, and what is wrong with one."""

import pickle
import shutil
import subprocess
from pathlib import Path

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from images import noise, write_image

from glimpse_envs import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.data import clips, packed_images
from glimpse_envs.data.datasets import SPLITS, DatasetError, ImageDataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.moving import Clips
from glimpse_envs.render.videos import write_video

pytestmark = pytest.mark.usefixtures("data_dir")
SIZE, FRAMES = 16, 4


def film(first: int, n: int = 6, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Frames of one grey level each, which rises from one to the next; black beside the middle."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    for t, frame in enumerate(frames):
        frame[top : top + side, left : left + side] = first + 20 * t
    return list(frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    for name, first in (("dim", 40), ("light", 120)):
        for i in range(6):
            write_video(root / name / f"{i}.mp4", film(first))
    (root / "light" / "notes.txt").write_text("no clip")
    return root


def levels(clip: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """The mean grey level of each frame of a strip."""
    return clip.reshape(frames, -1).mean(axis=1)


def test_clips_are_cropped_to_their_middle_scaled_and_kept_frame_below_frame(folder, capsys):
    data = load_dataset({"type": "clips", "path": str(folder), "size": SIZE, "frames": FRAMES})
    assert data.classes == ("dim", "light") and data.frames == FRAMES
    assert data.image_shape == (FRAMES * SIZE, SIZE, 3)
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 1, 2)
    for name in ("train", "validation", "test"):
        split = data.split(name)
        for clip, label in zip(split.images, split.labels, strict=True):
            assert clip.min() > 20  # nothing of the black beside the middle square
            wanted = (40, 120)[label] + 20 * np.arange(FRAMES)
            np.testing.assert_allclose(levels(clip), wanted, atol=4)  # the codec is not exact
    assert "not read: 1 .txt (no known kind of clip)" in capsys.readouterr().err
    assert pickle.loads(pickle.dumps(data)) is data
    check_that_it_is_decoded_once(data, folder)


def check_that_it_is_decoded_once(data: ImageDataset, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "_read", lambda *_: pytest.fail("decoded again"))
        again = clips.load_clips(folder, SIZE, FRAMES)
        patch.setattr(clips, "_read", lambda file, how: np.zeros((2 * SIZE, SIZE, 3), np.uint8))
        other = clips.load_clips(folder, SIZE, 2)
    assert again.digest == data.digest != other.digest and len(data.digest) == 16
    assert again.frames == FRAMES and again.train.levels is None  # of clips there is no pyramid
    np.testing.assert_array_equal(again.train.images, data.train.images)
    assert not other.train.images.any()


def test_every_second_frame(folder):
    given = {"type": "clips", "path": str(folder), "size": SIZE, "frames": 3, "every": 2}
    data = load_dataset(given)
    label = data.test.labels[0]
    wanted = (40, 120)[label] + 40 * np.arange(3)
    np.testing.assert_allclose(levels(data.test.images[0], 3), wanted, atol=4)


def transcode(file: Path, *outputs: str | Path) -> None:
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([exe, "-loglevel", "error", "-i", file, *outputs], check=True)


def test_every_extension_is_read(tmp_path):
    root = tmp_path / "kinds"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    source = write_video(tmp_path / "source.mp4", film(40), fps=25)
    outputs = []
    for extension in sorted(clips.EXTENSIONS):
        codec = ["-c:v", "mpeg4"] if extension == ".3gp" else []
        outputs += [*codec, root / "a" / f"{extension[1:]}{extension}"]
    transcode(source, *outputs, "-f", "mp4", root / "b" / "capitals.MP4", root / "b" / "c%d.mp4")
    data = clips.load_clips(root, SIZE, FRAMES)
    images = np.concatenate([data.split(name).images for name in SPLITS])
    assert len(images) == len(clips.EXTENSIONS) + 2
    for clip in images:
        np.testing.assert_allclose(levels(clip), 40 + 20 * np.arange(FRAMES), atol=6)


def test_each_frame_of_a_variable_rate_counts_once(tmp_path):
    source = write_video(tmp_path / "source.mp4", film(40))
    late = tmp_path / "late.mkv"
    transcode(source, "-vf", "setpts=N*N/10/TB", "-fps_mode", "vfr", late)
    clip = clips._read(late, clips.Reading(SIZE, 6, 1))
    np.testing.assert_allclose(levels(clip, 6), 40 + 20 * np.arange(6), atol=4)


def test_an_environment_shows_a_frame_for_each_glimpse_and_then_the_last(folder):
    dataset = {"type": "clips", "path": str(folder), "size": SIZE, "frames": FRAMES}
    env = gym.make("GlimpseCIFAR-MultiCat-v0", dataset=dataset, budget=6, start="centre")
    env.reset(seed=0)
    core = env.unwrapped.core
    assert core.config.scene == Clips(FRAMES) and core.config.shape == (SIZE, SIZE, 3)
    assert not core.config.tracked  # no clip tells where something is
    seen = [core.image(0).copy()]
    for _ in range(5):
        env.step(np.array([0, 1, 0]))
        seen.append(core.image(0).copy())
    clip = core.config.shown_split.images[core.index[0]].reshape(FRAMES, SIZE, SIZE, 3)
    np.testing.assert_array_equal(seen, clip[[0, 1, 2, 3, 3, 3]])


def arrays(frames: int) -> ImageDataset:
    images, labels = noise(12, 8 * frames, 8, 3), np.arange(12) % 2
    whole = ImageDataset.from_arrays(images, labels, images[:2], labels[:2])
    parts = {name: whole.split(name) for name in ("train", "validation", "test")}
    return ImageDataset("mine", classes=whole.classes, frames=frames, **parts)


def test_clips_of_ones_own_arrays_are_augmented_alike_in_all_frames():
    augment = {"type": "ShiftFlip", "shift": 0, "flip": True}
    sensor = {"type": "Crop", "size": 4}
    config = GlimpseConfig(dataset=arrays(3), sensor=sensor, augment=augment, budget=4)
    core = GlimpseCore(config, 30)
    core.seed_all(0)
    core.reset(core.lanes)
    first, mirrored = core.images().copy(), core._stream & np.uint64(1) == 1
    core.step(np.tile([0, 1, 0], (30, 1)))
    for lane in range(30):
        clip = config.shown_split.images[core.index[lane]].reshape(3, 8, 8, 3)
        for shown, frame in zip((first[lane], core.image(lane)), clip, strict=False):
            np.testing.assert_array_equal(shown, frame[:, ::-1] if mirrored[lane] else frame)


def test_scenes_and_data_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"'mine', which has clips of 3 frames.*wanted \"Plain\""):
        GlimpseConfig(dataset=arrays(3), scene="MovingCanvas")
    both = r'wanted "Plain".*and no reward NearTarget.* and start="target".*GlimpseCIFAR-MultiCat'
    with pytest.raises(ValueError, match=both):
        GlimpseConfig(
            dataset=arrays(3),
            scene="MovingCanvas",
            scheme="Pursuit",
            reward="NearTarget",
            start="target",
        )
    with pytest.raises(ValueError, match="which has images that stand still, and the scene Clips"):
        GlimpseConfig(scene={"type": "Clips", "length": 4})
    with pytest.raises(DatasetError, match="of 5 frames each; wanted equal frames"):
        whole = arrays(3)
        ImageDataset("odd", classes=("a", "b"), frames=5, **{
            name: whole.split(name) for name in ("train", "validation", "test")
        })  # fmt: skip
    with pytest.raises(ValueError, match='start="target" needs a scene that tells where'):
        GlimpseConfig(dataset=arrays(2), sensor={"type": "Crop", "size": 4}, start="target")


# ---- what is wrong with one ----


def classes_with(root: Path, name: str, content: bytes) -> Path:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for i in range(4):
            (root / label / f"{i}.mp4").write_bytes(content)
    (root / "a" / name).write_bytes(content)
    return root


def test_a_file_that_is_no_clip_is_named(tmp_path):
    root = classes_with(tmp_path / "bad", "0.mp4", b"no film")
    with pytest.raises(DatasetError, match=r"mp4 cannot .* \(.*Invalid data found.*\); replace"):
        load_dataset(f"clips:{root}")


def test_a_clip_that_is_too_short_or_cut_off_is_named(folder, tmp_path):
    with pytest.raises(
        DatasetError, match=r"mp4: got 6 frames; wanted at least 16.*dataset\.frames=6"
    ):
        load_dataset(f"clips:{folder}")
    whole = write_video(tmp_path / "whole.mp4", film(10, n=12)).read_bytes()
    root = classes_with(tmp_path / "cut", "0.mp4", whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"\.mp4"):
        load_dataset({"type": "clips", "path": str(root), "frames": 12, "size": 8})


@pytest.mark.parametrize("frames", ["4", 4.0, True, None, 0, -2])
def test_a_number_of_frames_that_is_none_is_refused(frames):
    split = arrays(4).train
    with pytest.raises(DatasetError, match=r"got frames=.*; wanted an integer from 1"):
        ImageDataset(
            "odd", classes=("a", "b"), frames=frames, train=split, validation=split, test=split
        )


def test_a_folder_without_clips_or_none_at_all_is_refused(tmp_path):
    for label in ("a", "b"):
        write_image(tmp_path / label / "0.png", noise(1, 5, 5, 3)[0])
    with pytest.raises(DatasetError, match=r"a: the class has no clip \(.*1 \.png"):
        load_dataset(f"clips:{tmp_path}")
    with pytest.raises(DatasetError, match="there is no such folder"):
        load_dataset(f"clips:{tmp_path / 'nowhere'}")


def test_a_full_disk_is_told_before_anything_is_decoded(folder, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=1000)
    monkeypatch.setattr(packed_images.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"12 clips of \(64, 16, 3\) are packed, is full: make"):
        clips.load_clips(folder, SIZE, FRAMES)


def test_more_than_fits_is_said_before_it_is_read(folder):
    given = {"type": "clips", "path": str(folder), "size": 1024, "frames": 100}
    with pytest.raises(DatasetError, match=r"12 clips of 100 frames of 1024 x 1024 take 3\.5 GiB"):
        load_dataset(given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "got size=0; wanted an integer from 1"),
        ({"frames": 1}, "got frames=1; wanted an integer from 2"),
        ({"every": 1.5}, "got every=1.5"),
        ({"fit": "crop"}, "'clips' has no argument 'fit'"),
        ({"path": ""}, "wanted 'clips:PATH'"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(DatasetError, match=message):
        load_dataset({"type": "clips", "path": "films", **wrong})
