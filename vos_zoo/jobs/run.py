"""What of many clips is finished: a run can be interrupted, killed, and gone on with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vos_zoo.errors import MaskError, SaveError
from vos_zoo.jobs.destination import LOG, RUN, Place, Record
from vos_zoo.jobs.task import Task

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run over many clips. Its id is in the record of each clip that it has finished."""

    place: Place
    id: str

    @classmethod
    def open(cls, place: Place, settings: Mapping[str, Any], tasks: Sequence[Task], *, overwrite: bool = False) -> Run:
        """The run that was begun there with these settings, or a new one; `overwrite` makes it a new one in any case.

        Args:
            settings: what the results depend on.

        Raises:
            SaveError: if some of the clips were finished with others.
        """
        plain = json.loads(json.dumps(dict(settings)))
        text = place.read(RUN)
        if text is not None and not overwrite:
            try:
                known = json.loads(text)
                identity, older = str(known["run"]), dict(known["settings"])
            except (ValueError, KeyError, TypeError) as error:
                raise SaveError(f"{RUN} in --out is damaged ({error}): choose another --out, or add --overwrite") from error
            if older == plain:
                return cls(place, identity)
            if done := sum(record.get("run") == identity for record in place.records(task.name for task in tasks).values()):
                raise SaveError(
                    f"{done} of these clips were done otherwise in --out: {_difference(older, plain)}. Give the same model and options to "
                    "go on, choose another --out, or add --overwrite to do all clips again"
                )
        run = cls(place, secrets.token_hex(8))
        place.write(RUN, json.dumps({"format": FORMAT, "run": run.id, "settings": plain}, indent=1) + "\n")
        return run

    def finished(self, tasks: Sequence[Task]) -> tuple[dict[str, Record], list[str]]:
        """The records of the clips that are done, and the names of those done whose video or masks have changed since."""
        found: dict[str, Record] = {}
        changed = []
        by_name = {task.name: task for task in tasks}
        for name, record in self.place.records(by_name).items():
            if record.get("run") != self.id or record.get("status") != "done":
                continue
            if unchanged(record, by_name[name]):
                found[name] = record
            else:
                changed.append(name)
        self._complete_log(found)
        return found, changed

    def vanished(self, records: Sequence[Record]) -> list[Record]:
        """Of clips that were done, those whose result is not there any more: the folder was deleted or moved meanwhile."""
        done = [record for record in records if record["status"] == "done"]
        there = self.place.records(record["name"] for record in done)
        return [record for record in done if there.get(record["name"], {}).get("id") != record.get("id")]

    def _complete_log(self, records: Mapping[str, Record]) -> None:
        """A kill may come after a clip's result is there and before the line in the log."""
        lines = (self.place.read(LOG) or "").splitlines()
        logged = set()
        for line in lines:
            try:
                logged.add(json.loads(line)["id"])
            except (ValueError, KeyError, TypeError):
                continue  # half a line
        for record in records.values():
            if record.get("id") not in logged:
                self.place.log(record)


def unchanged(record: Record, task: Task) -> bool:
    """Whether the result is of the clip as it is now."""
    try:
        return bool(record.get("inputs") == task.digest())
    except (OSError, MaskError, ValueError):
        return False


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return ", ".join(f"{key} was {_short(old.get(key))} and is {_short(new.get(key))}" for key in changed)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
