"""The authors' checkpoints, restated: names and shapes of their tensors with random values, and their networks' arithmetic on those names.

Nothing of vos_zoo is used here, so that a converted model can be held against it. References run in the tensors' own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = dict[str, Tensor]
RESNETS = {"resnet34": (False, (3, 4, 6, 3)), "resnet50": (True, (3, 4, 6, 3)), "resnet101": (True, (3, 4, 23, 3))}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


# ---- tensors


def conv(name: str, out: int, into: int, kernel: int, *, bias: bool = True, gain: float = 1.0) -> Tensors:
    weight = torch.randn(out, into, kernel, kernel) * gain * math.sqrt(2 / (into * kernel * kernel))
    return {f"{name}.weight": weight, **({f"{name}.bias": 0.1 * torch.randn(out)} if bias else {})}


def deconv(name: str, into: int, out: int, kernel: int) -> Tensors:
    return {f"{name}.weight": torch.randn(into, out, kernel, kernel) / math.sqrt(2 * into), f"{name}.bias": 0.1 * torch.randn(out)}


def batch_norm(name: str, channels: int, *, gain: float = 1.0) -> Tensors:
    return {
        f"{name}.weight": gain * (0.5 + torch.rand(channels)),
        f"{name}.bias": 0.1 * torch.randn(channels),
        f"{name}.running_mean": 0.1 * torch.randn(channels),
        f"{name}.running_var": 0.5 + torch.rand(channels),
        f"{name}.num_batches_tracked": torch.tensor(1234),
    }


def resnet(prefix: str, kind: str, *, stages: int = 4, classifier: bool = True) -> Tensors:
    """A ResNet by torchvision's names. The last batch norm of a block is small, so that a hundred blocks don't blow up."""
    bottleneck, blocks = RESNETS[kind]
    found = {**conv(f"{prefix}conv1", 64, 3, 7, bias=False), **batch_norm(f"{prefix}bn1", 64)}
    into = 64
    for n, count in enumerate(blocks[:stages], 1):
        width = 32 * 2**n
        out = 4 * width if bottleneck else width
        for b in range(count):
            block = f"{prefix}layer{n}.{b}."
            shapes = [(width, into, 1), (width, width, 3), (out, width, 1)] if bottleneck else [(width, into, 3), (out, width, 3)]
            for i, (a, c, k) in enumerate(shapes, 1):
                found |= conv(f"{block}conv{i}", a, c, k, bias=False)
                found |= batch_norm(f"{block}bn{i}", a, gain=0.2 if i == len(shapes) else 1.0)
            if b == 0 and (n > 1 or into != out):
                found |= {**conv(f"{block}downsample.0", out, into, 1, bias=False), **batch_norm(f"{block}downsample.1", out)}
            into = out
    if classifier:
        found |= {f"{prefix}fc.weight": torch.randn(1000, into), f"{prefix}fc.bias": torch.randn(1000)}
    return found


def crvos(seed: int = 0) -> Tensors:
    torch.manual_seed(seed)
    found = resnet("vos.backbone.", "resnet50")
    for n, into, reduced, guide in ((16, 2048, 256, 5), (8, 512, 128, 2), (4, 256, 128, 2)):
        found |= conv(f"vos.refine.conv_s{n}.conv", reduced, into, 1)
        found |= conv(f"vos.refine.blend_s{n}.conv", 128, reduced + guide, 3)
    for name, into, kernel in (("deconv1_1", 128, 4), ("deconv1_2", 2, 4), ("deconv2", 128, 4), ("deconv3", 128, 3), ("predictor", 6, 6)):
        found |= deconv(f"vos.refine.{name}", into, 2, kernel)
    return found


def rvos(kind: str, *, zero_shot: bool = False, hidden: int = 128, seed: int = 0) -> tuple[Tensors, Tensors]:
    """(encoder, decoder)."""
    torch.manual_seed(seed)
    bottleneck, _ = RESNETS[kind]
    encoder = resnet("base.", kind)
    for n, skip in ((5, hidden), (4, hidden), (3, hidden // 2), (2, hidden // 4)):
        encoder |= conv(f"sk{n}", skip, (256 if bottleneck else 64) * 2 ** (n - 2), 3) | batch_norm(f"bn{n}", skip)
    decoder: Tensors = {}
    for n, (into, h) in enumerate(((hidden, hidden), (2 * hidden, hidden // 2), (hidden, hidden // 4), (hidden // 2, hidden // 8))):
        decoder |= conv(f"clstm_list.{n}.Gates", 4 * h, into + (0 if zero_shot else 1) + 2 * h, 3)
    decoder |= conv("conv_out", 1, hidden // 8, 3, gain=4)
    decoder |= {"fc_stop.weight": torch.randn(1, 240), "fc_stop.bias": torch.randn(1)}
    return encoder, decoder


def stm(seed: int = 0) -> Tensors:
    """Without DataParallel's prefix."""
    torch.manual_seed(seed)
    found: Tensors = {}
    for name in ("Encoder_M", "Encoder_Q"):
        found |= {f"{name}.mean": MEAN.clone(), f"{name}.std": STD.clone()}
        plain = resnet("", "resnet50", stages=3, classifier=False)
        found |= {
            f"{name}.{key.replace('layer1', 'res2').replace('layer2', 'res3').replace('layer3', 'res4')}": x for key, x in plain.items()
        }
    found |= conv("Encoder_M.conv1_m", 64, 1, 7, bias=False) | conv("Encoder_M.conv1_o", 64, 1, 7, bias=False)
    for name in ("KV_M_r4", "KV_Q_r4"):
        found |= conv(f"{name}.Key", 128, 1024, 3, gain=0.3) | conv(f"{name}.Value", 512, 1024, 3)
    found |= conv("Decoder.convFM", 256, 1024, 3)
    names = ["Decoder.ResMM", *(f"Decoder.{refine}.{block}" for refine in ("RF3", "RF2") for block in ("ResFS", "ResMM"))]
    for name in names:
        found |= conv(f"{name}.conv1", 256, 256, 3) | conv(f"{name}.conv2", 256, 256, 3, gain=0.3)
    found |= conv("Decoder.RF3.convFS", 256, 512, 3) | conv("Decoder.RF2.convFS", 256, 256, 3) | conv("Decoder.pred2", 2, 256, 3)
    return found


def save(tensors: object, path: Path, *, legacy: bool = True) -> Path:
    """As the authors' torch wrote it: one pickle after another, no zip archive."""
    torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
    return path


def parallel(tensors: Tensors, which: Callable[[str], bool] = lambda key: True) -> Tensors:
    return {f"module.{key}" if which(key) else key: x for key, x in tensors.items()}


def without(tensors: Tensors, ending: str) -> Tensors:
    return {key: x for key, x in tensors.items() if not key.endswith(ending)}


def double(*parts: Tensors) -> Tensors:
    return {key: x.double() for part in parts for key, x in part.items()}


# ---- arithmetic


def convolve(s: Tensors, name: str, x: Tensor, **how: int) -> Tensor:
    how.setdefault("padding", how.get("dilation", 1) * (s[f"{name}.weight"].shape[-1] // 2))
    return F.conv2d(x, s[f"{name}.weight"], s.get(f"{name}.bias"), **how)


def normalise(s: Tensors, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (s[f"{name}.{kind}"].view(1, -1, 1, 1) for kind in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def residual_stages(s: Tensors, names: Iterable[str], x: Tensor, *, dilate_last: bool = False) -> list[Tensor]:
    """The outputs of a ResNet's stages from that of its first convolution, before the batch norm."""
    names = list(names)
    prefix = names[0].rpartition(".")[0]
    prefix = f"{prefix}." if prefix else ""
    x = F.max_pool2d(F.relu(normalise(s, f"{prefix}bn1", x)), 3, 2, padding=1)
    outputs = []
    for n, stage in enumerate(names):
        b = 0
        while f"{stage}.{b}.conv1.weight" in s:
            block = f"{stage}.{b}."
            stride, dilation = (2 if n > 0 and b == 0 else 1), 1
            if dilate_last and n == len(names) - 1:
                stride, dilation = 1, (1 if b == 0 else 2)
            if f"{block}conv3.weight" in s:
                y = F.relu(normalise(s, f"{block}bn1", convolve(s, f"{block}conv1", x)))
                y = F.relu(normalise(s, f"{block}bn2", convolve(s, f"{block}conv2", y, stride=stride, dilation=dilation)))
                y = normalise(s, f"{block}bn3", convolve(s, f"{block}conv3", y))
            else:
                y = F.relu(normalise(s, f"{block}bn1", convolve(s, f"{block}conv1", x, stride=stride)))
                y = normalise(s, f"{block}bn2", convolve(s, f"{block}conv2", y))
            if f"{block}downsample.0.weight" in s:
                x = normalise(s, f"{block}downsample.1", convolve(s, f"{block}downsample.0", x, stride=stride))
            x = F.relu(x + y)
            b += 1
        outputs.append(x)
    return outputs


def aggregated(foreground: Tensor, *, background: str) -> Tensor:
    """(K, H, W) probabilities of each object by itself -> (1 + K, H, W): odds, over their sum."""
    p = foreground.clamp(1e-7, 1 - 1e-7)
    b = (1 - p).amin(0, keepdim=True) if background == "min" else (1 - p).prod(0, keepdim=True)
    odds = torch.cat([b.clamp(1e-7, 1 - 1e-7), p])
    odds = odds / (1 - odds)
    return odds / odds.sum(0, keepdim=True)


# ---- the authors' networks


def crvos_step(s: Tensors, frame: Tensor, coarse: Tensor) -> Tensor:
    """frame (1, 3, H, W), coarse masks (K, H/16, W/16) -> probabilities (1 + K, H, W)."""
    x = convolve(s, "vos.backbone.conv1", (frame - MEAN) / STD, stride=2)
    s4, s8, _, s16 = residual_stages(s, [f"vos.backbone.layer{n}" for n in (1, 2, 3, 4)], x, dilate_last=True)
    h, w = s16.shape[-2:]
    y = torch.linspace(-1, 1, h, dtype=x.dtype)[:, None].expand(h, w)
    x = torch.linspace(-1, 1, w, dtype=x.dtype)[None].expand(h, w)
    foreground = []
    for mask in coarse:
        guide = torch.stack([1 - mask, mask, y, x, (x * x + y * y).sqrt()])[None]
        maps = []
        for n, skip, name, stride in ((16, s16, "deconv1_1", 2), (8, s8, "deconv2", 2), (4, s4, "deconv3", 1)):
            reduced = F.relu(convolve(s, f"vos.refine.conv_s{n}.conv", skip))
            blended = F.relu(convolve(s, f"vos.refine.blend_s{n}.conv", torch.cat([reduced, guide], 1)))
            guide = deconvolve(s, f"vos.refine.{name}", blended, stride)
            maps.append(guide)
        maps[0] = deconvolve(s, "vos.refine.deconv1_2", maps[0], 2)
        score = deconvolve(s, "vos.refine.predictor", torch.cat(maps, 1), 4)
        foreground.append(score.softmax(1)[0, 1])
    return aggregated(torch.stack(foreground), background="min")


def deconvolve(s: Tensors, name: str, x: Tensor, stride: int) -> Tensor:
    return F.conv_transpose2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride=stride, padding=1)


def rvos_step(s: Tensors, frame: Tensor, masks: Tensor | None, hidden: list[list[Tensor]] | None, objects: int) -> tuple[Tensor, list]:
    """frame (1, 3, H, W), previous masks (K, H, W) or None, hidden maps by object and level -> sigmoids (K, H, W), hidden maps."""
    x = convolve(s, "base.conv1", (frame - MEAN) / STD, stride=2)
    outputs = residual_stages(s, [f"base.layer{n}" for n in (1, 2, 3, 4)], x)
    skips = [normalise(s, f"bn{n}", convolve(s, f"sk{n}", outputs[n - 2])) for n in (5, 4, 3, 2)]
    scores, new = [], []
    neighbour = None
    for k in range(objects):
        pyramid = []
        if masks is not None:
            small = masks[k][None, None]
            for _ in range(5):
                small = F.max_pool2d(small, 2, ceil_mode=True)
                pyramid.append(small)
        states: list[tuple[Tensor, Tensor]] = []
        above = None
        for n, skip in enumerate(skips):
            size = s[f"clstm_list.{n}.Gates.bias"].shape[0] // 4
            zeros = skip.new_zeros(1, size, *skip.shape[-2:])
            inputs = [] if above is None else [F.interpolate(above, skip.shape[-2:], mode="bilinear", align_corners=True)]
            inputs += [skip, *pyramid[4 - n : 5 - n]]
            inputs += [zeros if neighbour is None else neighbour[n][0], zeros if hidden is None else hidden[k][n]]
            i, f, o, g = convolve(s, f"clstm_list.{n}.Gates", torch.cat(inputs, 1)).chunk(4, 1)
            cell = f.sigmoid() * (zeros if neighbour is None else neighbour[n][1]) + i.sigmoid() * g.tanh()
            above = o.sigmoid() * cell.tanh()
            states.append((above, cell))
        twice = F.interpolate(above, scale_factor=2, mode="bilinear", align_corners=True)
        score = F.interpolate(convolve(s, "conv_out", twice), frame.shape[-2:], mode="bilinear", align_corners=True)
        scores.append(score[0, 0].sigmoid())
        neighbour = states
        new.append([state[0] for state in states])
    return torch.stack(scores), new


def stm_memorise(s: Tensors, frame: Tensor, probs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """frame (1, 3, H, W), masks (K, H, W) -> key (128, h, w) and value (512, h, w) of each object."""
    found = []
    for k in range(len(probs)):
        mask = probs[k][None, None]
        others = (probs.sum(0) - probs[k]).clamp(0, 1)[None, None]
        x = convolve(s, "Encoder_M.conv1", (frame - s["Encoder_M.mean"]) / s["Encoder_M.std"], stride=2)
        x = x + convolve(s, "Encoder_M.conv1_m", mask, stride=2) + convolve(s, "Encoder_M.conv1_o", others, stride=2)
        r4 = residual_stages(s, [f"Encoder_M.res{n}" for n in (2, 3, 4)], x)[-1]
        found.append((convolve(s, "KV_M_r4.Key", r4)[0], convolve(s, "KV_M_r4.Value", r4)[0]))
    return found


def stm_segment(s: Tensors, frame: Tensor, memory: list[list[tuple[Tensor, Tensor]]]) -> Tensor:
    """memory: of each frame in it, what stm_memorise gave -> probabilities (1 + K, H, W)."""
    x = convolve(s, "Encoder_Q.conv1", (frame - s["Encoder_Q.mean"]) / s["Encoder_Q.std"], stride=2)
    r2, r3, r4 = residual_stages(s, [f"Encoder_Q.res{n}" for n in (2, 3, 4)], x)
    key, value = convolve(s, "KV_Q_r4.Key", r4)[0], convolve(s, "KV_Q_r4.Value", r4)
    foreground = []
    for k in range(len(memory[0])):
        keys = torch.cat([each[k][0].flatten(1) for each in memory], 1)
        values = torch.cat([each[k][1].flatten(1) for each in memory], 1)
        weights = (keys.T @ key.flatten(1) / math.sqrt(128)).softmax(0)
        read = (values @ weights).view(1, 512, *r4.shape[-2:])
        x = residual(s, "Decoder.ResMM", convolve(s, "Decoder.convFM", torch.cat([read, value], 1)))
        for name, skip in (("RF3", r3), ("RF2", r2)):
            skip = residual(s, f"Decoder.{name}.ResFS", convolve(s, f"Decoder.{name}.convFS", skip))
            x = residual(s, f"Decoder.{name}.ResMM", skip + F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        two = convolve(s, "Decoder.pred2", F.relu(x))
        two = F.interpolate(two, scale_factor=4, mode="bilinear", align_corners=False)
        foreground.append(two.softmax(1)[0, 1])
    return aggregated(torch.stack(foreground), background="prod")


def residual(s: Tensors, name: str, x: Tensor) -> Tensor:
    return x + convolve(s, f"{name}.conv2", F.relu(convolve(s, f"{name}.conv1", F.relu(x))))
