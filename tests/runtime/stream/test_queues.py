"""The queue between two stages: what was promised is handed over, what is let go is counted."""

from __future__ import annotations

from microaunet_runtime.stream.queues import BoundedQueue


def test_what_was_queued_before_the_end_is_handed_over_whatever_comes_later() -> None:
    queue: BoundedQueue[str] = BoundedQueue(1, drop_oldest=True)
    queue.put("promised")
    queue.finish()
    queue.put("late")
    assert list(queue) == ["promised"]
    assert queue.dropped == 0


def test_the_oldest_goes_when_a_live_queue_is_full_and_is_counted() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2, drop_oldest=True)
    for number in range(5):
        queue.put(number)
    queue.finish()
    assert list(queue) == [3, 4]
    assert queue.dropped == 3


def test_abandoning_says_how_many_items_were_let_go() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3, drop_oldest=False)
    queue.put(1)
    queue.put(2)
    assert queue.abandon() == 2
    assert list(queue) == []
