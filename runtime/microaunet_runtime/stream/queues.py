"""The bounded queue between two threads of the pipeline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """A queue of at most ``size`` items; when it is full, ``put`` waits or, with ``drop_oldest``, drops one.

    Attributes:
        dropped: how many items were dropped.
    """

    def __init__(self, size: int, *, drop_oldest: bool) -> None:
        self.dropped = 0
        self._size = size
        self._drop_oldest = drop_oldest
        self._items: deque[Item] = deque()
        self._finished = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Add an item. After :meth:`finish` or :meth:`abandon` it is silently discarded."""
        with self._changed:
            if not self._drop_oldest:
                self._changed.wait_for(lambda: self._finished or len(self._items) < self._size)
            if self._finished:
                return
            while len(self._items) >= self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that no further item will come: readers get the remaining items, then the end."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abandon(self) -> int:
        """Discard all items and end at once, so that no thread waits; returns how many were discarded."""
        with self._changed:
            left = len(self._items)
            self._items.clear()
            self._finished = True
            self._changed.notify_all()
            return left

    def get(self, timeout: float | None = None) -> Item | None:
        """The next item; None when the queue has ended or nothing came within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._items, timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[Item]:
        """Items in order, waiting for each, until the queue has ended."""
        while (item := self.get()) is not None:
            yield item
            del item  # or this frame would live until the next one comes
