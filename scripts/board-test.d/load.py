"""Clients on this machine that ask the board all the time."""

import http.client
import threading

from common import Failed

PATIENCE_S = 300
BODY = b"x" * 128


class Load:
    """Some clients, each on a connection that it keeps; as a context it stops at the end, and nothing may have failed.

    They ask as fast as the board can without falling behind: where it has more to do than its processor can, its clock
    runs slower than the one here.
    """

    PAUSE_S = 0.01

    def __init__(self, port, clients=3):
        self.port, self.answered, self.failures = port, 0, []
        self.over, self.changed = threading.Event(), threading.Condition()
        self.threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.more(len(self.threads))
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)
        if kind is None and self.failures:
            raise Failed(f"{len(self.failures)} of {self.answered + len(self.failures)} requests failed: {self.failures[:3]}")

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        while not self.over.is_set():
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or body != BODY:
                    raise ValueError(f"{answer.status} {body[:80]!r}")
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                self._note(repr(error))
                # One that is refused at once would only fill the list.
                self.over.wait(0.1)
            else:
                self._note(None)
                self.over.wait(self.PAUSE_S)

    def _note(self, failure):
        with self.changed:
            if failure:
                self.failures.append(failure)
            else:
                self.answered += 1
            self.changed.notify_all()

    def more(self, count):
        """Waits until that many more were answered; fails as soon as one was not."""
        with self.changed:
            enough = self.answered + count
            self.changed.wait_for(lambda: self.failures or self.answered >= enough, PATIENCE_S)
            if self.failures or self.answered < enough:
                raise Failed(f"of {self.answered} requests, failed: {self.failures[:3] or 'the last stands still'}")
