"""The saved matchers of entry lists, which may be built in threads while something else is waited for."""

import os
import tempfile
import threading
import uuid
from pathlib import Path

from pipeline.entries.lists import EntryList
from pipeline.match.engine import build_file


class Matchers:
    """Builds the matcher of each of ``lists``, once, into files of a folder that goes with this object."""

    def __init__(self, lists: dict[str, EntryList], form: str, engine: str):
        self.lists, self.form, self.engine = lists, form, engine
        self._folder = tempfile.TemporaryDirectory(prefix="metaclip-", ignore_cleanup_errors=True)
        # A session keeps files by name for as long as it lives, and a saved automaton differs every time.
        self._files = {name: Path(self._folder.name) / f"{name}-{uuid.uuid4().hex}.{engine}" for name in lists}
        self._left, self._errors = list(lists), []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begins to build. The threads end with the process, whatever they are at."""
        for _ in range(min(len(self.lists), os.cpu_count() or 1)):
            self._threads.append(threading.Thread(target=self._build, daemon=True))
            self._threads[-1].start()

    def files(self) -> dict[str, Path]:
        """The file of each list's matcher, when all are built."""
        if not self._threads:
            self.start()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return self._files

    def _build(self) -> None:
        try:
            while self._left:
                try:
                    name = self._left.pop()
                except IndexError:  # Another thread was first.
                    return
                build_file(self.lists[name].entries, self.form, self.engine, self._files[name])
        except BaseException as error:  # Of the thread that waits.
            self._errors.append(error)
