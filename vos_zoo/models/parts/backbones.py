"""Image trunks from timm: features at strides 4, 8, 16 and 32.

All trunks run with frozen batch normalisation: statistics are ImageNet's, never a training batch's. "folded" merges them into
the convolutions' weights and biases: the same function, fewer passes over memory, and nothing left that a batch could move.

A ResNet's bottlenecks have their stride on the 3x3 convolution in torchvision and timm, on the first 1x1 in the ResNet paper (He et al.,
CVPR 2016, arXiv 1512.03385) and in Caffe. The weights of one are worth less in the other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from vos_zoo.models.parts.folding import fold_batch_norm

BATCH_NORMS = ("frozen", "folded")
STRIDES_ON = ("3x3", "1x1")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]


def check_trunk(name: str, batch_norm: str, stride_on: str) -> None:
    """ValueError if the arguments name no trunk. Only plain timm names pass: "hf-hub:..." or "local-dir:..." would fetch and run more."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_]+", name) or not timm.is_model(name):
        raise ValueError(
            f"backbone {name!r} is no model of timm {timm.__version__}; see timm.list_models(), for instance resnet18 or resnet50"
        )
    if batch_norm not in BATCH_NORMS:
        raise ValueError(f"batch_norm is one of {BATCH_NORMS}, not {batch_norm!r}")
    if stride_on not in STRIDES_ON:
        raise ValueError(f"stride_on is one of {STRIDES_ON}, not {stride_on!r}")


class Trunk(nn.Module):
    """(B, 3 + extra_channels, H, W) normalised RGB (and what else the first convolution takes) -> features, shallow to deep.

    stages: numbers of the residual stages whose output is wanted; stages behind the last are dropped. Stage 1 lies at stride 4, each
    further one at half the resolution, but with dilated=True the fourth keeps the third's stride 16: its stride is replaced by a
    dilation of 2 from its second block on (torchvision's replace_stride_with_dilation). stride_on: the convolution of a bottleneck that has
    its stride, "3x3" or "1x1". ValueError if the arguments name no trunk.

    `normalised` brings frames in [0, 1] to what the trunk was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        stages: tuple[int, ...],
        *,
        dilated: bool = False,
        batch_norm: str = "frozen",
        stride_on: str = "3x3",
        extra_channels: int = 0,
    ):
        check_trunk(name, batch_norm, stride_on)
        super().__init__()
        self.outline: dict[str, Any] = {"model_name": name, "out_indices": tuple(stages), "features_only": True}
        if dilated:
            self.outline["output_stride"] = 16
        net: Any = timm.create_model(**self.outline, in_chans=3 + extra_channels)
        if stride_on == "1x1":
            _stride_on_first(net)
        self.net = net
        self.channels: list[int] = net.feature_info.channels()
        self.strides: list[int] = net.feature_info.reduction()
        if batch_norm == "folded":
            fold_batch_norm(self.net)
        self.batch_norm, self.stride_on = batch_norm, stride_on
        self.register_buffer("mean", _per_channel(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", _per_channel(IMAGENET_STD), persistent=False)

    def normalised(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] -> the same by ImageNet's mean and standard deviation."""
        return (frames - self.mean) / self.std

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.net(x)
        return features

    def train(self, mode: bool = True) -> Trunk:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def load_imagenet(self, path: str | Path) -> None:
        """Take ImageNet weights from a safetensors file with torchvision's key names; keys of dropped stages are ignored.

        The first convolution's weights for extra channels stay as they are. ValueError if the file is of another network.
        """
        from safetensors.torch import load_file

        plain: Any = timm.create_model(**self.outline)
        wanted = plain.state_dict()
        found = {k: v.float() for k, v in load_file(path).items() if k in wanted}
        missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"{path} is no {self.outline['model_name']}: {len(missing)} tensors are missing, the first is {missing[0]}")
        plain.load_state_dict(found, strict=False)
        if self.batch_norm == "folded":
            fold_batch_norm(plain)
        self.take(plain.state_dict())

    def take(self, weights: dict[str, Tensor]) -> None:
        """Start from the weights of a trunk of the same kind, the state of its `net`. ValueError if they do not fit.

        The first convolution's weights for extra channels stay as they are.
        """
        own = self.net.state_dict()
        new = dict(weights)
        for key, value in new.items():
            if key in own and value.ndim == 4 and value.shape[1] < own[key].shape[1]:
                new[key] = torch.cat([value.to(own[key]), own[key][:, value.shape[1] :]], 1)
        try:
            self.net.load_state_dict(new)
        except RuntimeError as error:
            raise ValueError(f"these weights are of another trunk than {self.outline['model_name']}, {self.batch_norm}: {error}") from error


def _per_channel(values: tuple[float, ...]) -> Tensor:
    """(1, C, 1, 1), float32 whatever the default dtype is."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


def _stride_on_first(net: nn.Module) -> None:
    """Move each bottleneck's stride from the 3x3 convolution to the 1x1 in front of it. ValueError if there is none."""
    strided = [block for block in net.modules() if isinstance(block, Bottleneck) and block.conv2.stride != (1, 1)]
    if not strided:
        raise ValueError('this backbone has no bottleneck with a stride on its 3x3 convolution: leave stride_on at "3x3"')
    for block in strided:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
