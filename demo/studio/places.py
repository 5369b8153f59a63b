"""One place in the queue for each visitor: whose run waits or is worked on can't have another one put in."""

from __future__ import annotations

from typing import Any

TAKEN = "Your last run is still in the queue, or being worked on: wait for it, or stop it, before you start another."


def one_place_each(queue: Any, function: str) -> None:
    """From now on the queue of a page takes a session's call of that function only if it has no other one there.

    Args:
        queue: Gradio's, of a page.
        function: the API name of what runs long.
    """
    push = queue.push

    async def push_if_free(body: Any, request: Any, username: str | None) -> Any:
        block = queue.blocks.fns.get(body.fn_index)
        if block is not None and block.api_name == function and _has_place(queue, body.session_hash, function):
            return False, TAKEN, "error"
        return await push(body, request, username)

    queue.push = push_if_free


def _has_place(queue: Any, session: str | None, function: str) -> bool:
    waiting = (event for each in queue.event_queue_per_concurrency_id.values() for event in each.queue)
    working = (event for events in queue.active_jobs if events for event in events)
    mine = (event for event in (*waiting, *working) if event.alive and event.session_hash == session)
    return session is not None and any(event.fn.api_name == function for event in mine)
