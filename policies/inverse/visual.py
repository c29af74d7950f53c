"""What stage two takes over from stage one: the visual weights."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch as th

from policies.inverse.network import CrossBlock, VisualExtractor
from policies.tensor_files import LARGEST_CHECKPOINT, load_tensors, read_member, read_regular

_OF_SOURCE = ("norm_source.", "to_key_value.")
"""Layers of a block of cross-attention that read what is asked: another image, or a text."""

_EXTRACTOR = "features_extractor."
_POLICY = "policy.pth"  # of a model.zip


def load_visual(extractor: VisualExtractor, path: str | Path) -> list[str]:
    """Put the visual weights of a trained model into an extractor; return their names.

    That is stem, places, the blocks of self-attention, the last norm, and of the blocks of
    cross-attention all (queries, what comes of the heads, MLPs) but what reads the other side:
    keys and values, and the norm before them.

    :param extractor: of as many and as large blocks
    :param path: a model that SB3 saved, such as ``model.zip`` of a
        :class:`~policies.inverse.policy.SiamesePolicy`, or a file of ``torch.save`` with the state
        dict of such a policy or of its extractor
    :raises ValueError: for a file that cannot be read, or that does not fit
    """
    tensors = _read(Path(path))
    mine = extractor.state_dict()
    names = _visual_names(extractor)
    theirs = {name for name in tensors if name.startswith("blocks.")}
    unknown = {name for name in theirs if _block(name) not in {_block(n) for n in mine}}
    missing = [name for name in names if name not in tensors]
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"has {min(unknown)!r} beyond"
        raise ValueError(
            f"got visual={str(path)!r}, which {what}; wanted a model of SiamesePolicy with the "
            "same 'blocks' and 'stem'"
        )
    for name in names:
        if mine[name].shape != tensors[name].shape:
            raise ValueError(
                f"got visual={str(path)!r}, whose {name!r} is {_size(tensors[name])} and here "
                f"{_size(mine[name])}; wanted a model with the same dim, patch and images"
            )
    extractor.load_state_dict({name: tensors[name] for name in names}, strict=False)
    return names


def _visual_names(extractor: VisualExtractor) -> list[str]:
    """Return which of an extractor's weights stage one has, too."""
    names = [name for name in extractor.state_dict() if name.startswith(("embed.", "norm."))]
    for i, block in enumerate(extractor.blocks):
        parts = block.state_dict()
        if isinstance(block, CrossBlock):
            parts = [name for name in parts if not name.startswith(_OF_SOURCE)]
        names += [f"blocks.{i}.{name}" for name in parts]
    return names


def _read(path: Path) -> dict[str, th.Tensor]:
    """Return the tensors of an extractor by name.

    :raises ValueError: for a file that cannot be read, or that holds something else
    """
    try:
        data = read_regular(path, LARGEST_CHECKPOINT)
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if _POLICY in archive.namelist():
                    data = read_member(archive, _POLICY)
        tensors = load_tensors(data)
    except Exception as error:  # PyTorch's reader fails in many ways
        first = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"got visual={str(path)!r}, which cannot be read ({first or type(error).__name__}); "
            "wanted a model.zip, or a file of torch.save with the state dict of a SiamesePolicy"
        ) from error
    if not isinstance(tensors, dict):
        tensors = {}
    of_policy = {
        name.removeprefix(_EXTRACTOR): tensor
        for name, tensor in tensors.items()
        if str(name).startswith(_EXTRACTOR)
    }
    return {
        str(name): tensor
        for name, tensor in (of_policy or tensors).items()
        if isinstance(tensor, th.Tensor)
    }


def _block(name: str) -> str:
    """Return the block that a weight belongs to, such as "blocks.2"."""
    return ".".join(name.split(".")[:2])


def _size(tensor: th.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
