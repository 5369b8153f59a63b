"""Which annotation tool made a document, and its frames: the one place that knows all forms that are read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vos_zoo.errors import MaskError
from vos_zoo.masks.annotations import AnnotatedFrame, numbered
from vos_zoo.masks.coco_read import is_coco, is_list_of_annotations, read_annotations, read_coco
from vos_zoo.masks.cvat import read_cvat
from vos_zoo.masks.files import read_json, read_xml
from vos_zoo.masks.label_studio import is_label_studio, read_label_studio, unknown_export
from vos_zoo.masks.labelme import is_labelme, read_labelme

SUFFIXES = (".json", ".xml")


def is_export(document: object) -> bool:
    """Whether this is what an annotation tool wrote, parsed, in a form that is read."""
    return isinstance(document, ET.Element) or is_labelme(document) or is_coco(document) or is_label_studio(document)


def export_frames(document: Any, name: str) -> list[AnnotatedFrame]:
    """The annotated frames of a parsed document. Raises MaskError if it is of no form that is read, or holds no object."""
    if isinstance(document, ET.Element):
        return numbered(read_cvat(document, name), name)
    if is_labelme(document):
        return numbered([read_labelme(document, name)], name)
    if is_coco(document):
        return numbered(read_coco(document, name), name)
    if is_label_studio(document):
        return numbered(read_label_studio(document, name), name)
    if is_list_of_annotations(document):
        return numbered(read_annotations(document, None, name), name)
    raise unknown_export(document, name)


def read_export(path: Path) -> list[AnnotatedFrame]:
    """The annotated frames of a JSON or XML file. Raises MaskError."""
    name = f"the file {path}"
    if path.suffix.lower() == ".xml":
        return export_frames(read_xml(path, name), name)
    return export_frames(read_json(path, name), name)


def read_labelme_files(paths: Sequence[Path]) -> list[AnnotatedFrame]:
    """The frames of LabelMe's files, one a frame, whose objects have the same ids throughout. Raises MaskError."""
    frames = []
    for path in paths:
        document = read_json(path, f"the file {path}")
        if not is_labelme(document):
            raise unknown_export(document, f"the file {path}")
        _, index, size, shapes = read_labelme(document, f"the file {path}")
        frames.append((path.stem, index, size, shapes))
    if not frames:
        raise MaskError("there is no LabelMe file")
    return numbered(frames, f"the folder {paths[0].parent}")
