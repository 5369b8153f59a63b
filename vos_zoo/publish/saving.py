"""What a Segmenter can be written as: a checkpoint, a repository on the Hub, graphs that run without torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vos_zoo.checkpoints.save import save
from vos_zoo.engine.members import Engine
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.runtimes.export import export

if TYPE_CHECKING:
    from vos_zoo.publish.push import Published


class Saving(Engine):
    """Members that decide together, and the ways to write them; the part of a Segmenter that its ways through videos need not know."""

    from_source: ClassVar[Callable[..., Any]]  # the Segmenter's, with which what is published is loaded back

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> Path:
        """Writes config.json and model.safetensors, so that `vos_zoo.load(folder)` gives this model again.

        Args:
            folder: where to; made if it is missing.
            options: dtype of the stored weights, "float16" by default; overwrite, to replace a checkpoint there; max_shard_bytes, above
                which the weights go into several files.

        Returns:
            The folder.

        Raises:
            SaveError: it is an ensemble, or the folder holds a checkpoint already, or can't be written. Nothing half-written is left.
            VosZooError: the model does not run in torch.
        """
        if len(self._members) > 1:
            raise SaveError("an ensemble is several checkpoints: save its members one by one, `for member in ensemble.members: ...`")
        self._check_torch("saved")
        return save(self.model, self.config, folder, **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> Published:
        """Publishes this model with a generated card on the Hugging Face Hub, in one commit that is loaded back.

        Args:
            repo_id: "owner/name".
            options: private, revision, create_pr, tag, message, token, dtype; see `publish.push`.

        Returns:
            What was published: the repository, the commit, the files sent.

        Raises:
            PublishError: what is to be sent is not fit to be, or the Hub refused it. Nothing is left half-sent.
            VosZooError: the model does not run in torch.
        """
        from vos_zoo.publish.push import push_model

        self._check_torch("published")
        return push_model(self.model, self.config, repo_id, load=type(self).from_source, **options)

    def export(
        self,
        folder: str | os.PathLike[str],
        *,
        format: str = "onnx",
        overwrite: bool = False,
        report: Callable[[str], None] = lambda line: None,
    ) -> Path:
        """Writes this model as graphs that run without torch, so that `vos_zoo.load(folder, runtime="onnxruntime")` runs them.

        Args:
            folder: where config.json and the folder of the graphs go. A checkpoint's own folder gets the graphs beside its weights.
            format: "onnx", or "pt2" for programs of torch.export.
            overwrite: replace graphs that lie there.
            report: told what is being done, a line a graph.

        Returns:
            The folder of the graphs, with export.json, which names them and what goes in and out.

        Raises:
            VosZooError: a package is missing, the weights are not in float32, or the model can't be a graph.
            SaveError: the folder holds graphs, or another checkpoint, or can't be written.

        Example:
            >>> import vos_zoo
            >>> segmenter = vos_zoo.load("crvos-resnet18", device="cpu", dtype="float32")
            >>> segmenter.export("crvos-graphs").name  # doctest: +SKIP
            'onnx'
        """
        if len(self._members) > 1:
            raise SaveError("an ensemble is several checkpoints: export its members one by one, `for member in ensemble.members: ...`")
        self._check_torch("exported")
        return export(self.model, self.config, folder, format=format, overwrite=overwrite, report=report)

    def _check_torch(self, what: str) -> None:
        """VosZooError if a model of this Segmenter is no torch model."""
        if self.runtime != "torch":
            raise VosZooError(f"{self.config.name} runs in {self.runtime}, where it can't be {what}: load it without runtime=")
