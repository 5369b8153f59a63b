"""STM and SCM in plain arithmetic, on the weights of an SCM: one object and one position after another, nothing shared or split.

Written from STM 3.1 to 3.4 and SCM 2.1 and 2.2; crops and pads where STM does, between the frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from vos_zoo.models.scm import SCM


def reference_video(model: SCM, frames: torch.Tensor, first: torch.Tensor, every: int) -> list[torch.Tensor]:
    """frames (T, 3, H, W) of any size, first (K, H, W) -> T - 1 probabilities (1 + K, H, W)."""
    t, h, w = len(frames), *frames.shape[-2:]
    left, top = (-w % 16) // 2, (-h % 16) // 2
    pads = (left, -w % 16 - left, top, -h % 16 - top)
    mean = torch.tensor([0.485, 0.456, 0.406]).double().view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).double().view(3, 1, 1)
    pictures = [((F.pad(frame, pads) - mean) / std)[None] for frame in frames]
    estimates = [first]
    kept: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    results = []
    for now in range(1, t):
        masks = F.pad(estimates[now - 1], pads)
        memorised = [reference_memory(model, pictures[now - 1], masks, k) for k in range(len(masks))]
        read = [*kept, memorised]
        if (now - 1) % every == 0:
            kept = read
        single = []
        for k in range(len(masks)):
            score = reference_segment(model, pictures[now], [frame[k] for frame in read], masks[k])
            single.append(score.softmax(0)[1][top : top + h, left : left + w])
        background = torch.stack([1 - p for p in single]).prod(0)
        stacked = torch.stack([background, *single]).clamp(1e-7, 1 - 1e-7)
        odds = stacked / (1 - stacked)
        results.append(odds / odds.sum(0))
        estimates.append(results[-1][1:])
    return results


def trunk_features(net: torch.nn.Module, after_first_convolution: torch.Tensor) -> list[torch.Tensor]:
    x = net.maxpool(F.relu(net.bn1(after_first_convolution)))
    s4 = net.layer1(x)
    s8 = net.layer2(s4)
    return [s4, s8, net.layer3(s8)]


def reference_memory(model: SCM, picture: torch.Tensor, masks: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    net = model.memory_trunk.net
    others = torch.zeros_like(masks[0])
    for other, mask in enumerate(masks):
        if other != k:
            others = others + mask
    weight = net.conv1.weight
    summed = F.conv2d(picture, weight[:, :3], None, 2, 3)
    summed = summed + F.conv2d(masks[k][None, None], weight[:, 3:4], None, 2, 3)
    summed = summed + F.conv2d(others.clamp(0, 1)[None, None], weight[:, 4:5], None, 2, 3)
    s16 = trunk_features(net, summed)[2]
    if model.config.shared_keys:
        asking = model.query_trunk.net
        key = conv(trunk_features(asking, F.conv2d(picture, asking.conv1.weight, None, 2, 3))[2], model.query_key)
    else:
        key = conv(s16, model.memory_key)
    return key[0].flatten(1), conv(s16, model.memory_value)[0].flatten(1)


def similarity(model: SCM, key: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """key (C, positions), query (C, 1) -> (positions,): STM eq. 1's f before its exponential, or a cosine over the temperature."""
    if model.config.similarity == "dot":
        return (key * query).sum(0) / len(query) ** 0.5
    return torch.cosine_similarity(key, query, dim=0) / model.config.temperature


def conv(x: torch.Tensor, layer: torch.nn.Conv2d, dilation: int = 1) -> torch.Tensor:
    return F.conv2d(x, layer.weight, layer.bias, layer.stride, padding=dilation * (layer.weight.shape[-1] // 2), dilation=dilation)


def residual(x: torch.Tensor, block: torch.nn.Module) -> torch.Tensor:
    return x + conv(F.relu(conv(F.relu(x), block.conv1)), block.conv2)


def enlarged(x: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def reference_segment(model: SCM, picture: torch.Tensor, memory: list, mask: torch.Tensor) -> torch.Tensor:
    """Scores (2, H, W) of background and object on the padded frame."""
    net = model.query_trunk.net
    s4, s8, s16 = trunk_features(net, F.conv2d(picture, net.conv1.weight, None, 2, 3))
    query, value = conv(s16, model.query_key)[0], conv(s16, model.query_value)[0]
    read = torch.zeros_like(value)
    for y in range(query.shape[1]):
        for x in range(query.shape[2]):
            weights = [similarity(model, key, query[:, y, x, None]) for key, _ in memory]
            share = torch.cat(weights).softmax(0)
            read[:, y, x] = torch.cat([v for _, v in memory], 1) @ share
    both = torch.cat([read, value])[None]
    if model.config.aspp:
        branches = [F.relu(conv(both, layer, rate)) for layer, rate in zip(model.mix.branches, (2, 4, 8), strict=True)]
        x = conv(torch.cat(branches, 1), model.mix.fuse)
    else:
        x = conv(both, model.mix.branches[0])
    if model.config.spatial_constraint:
        prior = conv(torch.cat([x, F.avg_pool2d(mask[None, None], 16)], 1), model.constraint.conv).sigmoid()
        x = x * prior
    x = residual(x, model.block16)
    x = residual(residual(conv(s8, model.level8.skip[0]), model.level8.skip[1]) + enlarged(x, 2), model.level8.merged)
    x = residual(residual(conv(s4, model.level4.skip[0]), model.level4.skip[1]) + enlarged(x, 2), model.level4.merged)
    x = F.relu(x)
    score = conv(x, model.predictor)
    if model.config.refine:
        a = F.relu(conv(x, model.refine.enter))
        b = F.relu(conv(a, model.refine.down[0]))
        c = F.relu(conv(b, model.refine.down[1]))
        d = F.relu(conv(c, model.refine.down[2]))
        for layer, beside in zip(model.refine.up, (c, b, a), strict=True):
            d = F.interpolate(d, beside.shape[-2:], mode="bilinear", align_corners=False)
            d = F.relu(conv(torch.cat([d, beside], 1), layer))
        score = score + conv(d, model.refine.leave)
    return enlarged(score, 4)[0]
