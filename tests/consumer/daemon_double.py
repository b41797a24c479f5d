"""The daemon's half of the protocol over real pipes, in the hands of a test."""

import base64
import json
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from consumer.multilang import Conversation

DEADLINE_SECONDS = 30


class DaemonDouble:
    """Sends actions and answers checkpoints; `refuse` names the error for a checkpoint, or None."""

    def __init__(self, refuse: Callable[[str | None], str | None] = lambda _: None) -> None:
        child_in, self._to_child = os.pipe()
        self._from_child, child_out = os.pipe()
        self._source = os.fdopen(child_in, "rb", buffering=0)
        self._target = os.fdopen(child_out, "wb")
        self._writer = os.fdopen(self._to_child, "wb")
        self._reader = os.fdopen(self._from_child, "rb")
        self.conversation = Conversation(self._source, self._target)
        self.checkpoints: list[tuple[str | None, int | None]] = []
        self.refuse = refuse
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def run(self, processor: Any) -> None:
        """Run the processor in a thread, as the child process would."""

        def body() -> None:
            try:
                processor.run()
            except BaseException as error:  # noqa: BLE001 -- kept for the test to look at
                self.error = error
            finally:
                self._target.close()

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def send(self, action: str, **fields: Any) -> bool:
        """Send one action and serve its checkpoints; False if the child ended instead."""
        self._writer.write(json.dumps({"action": action, **fields}).encode() + b"\n")
        self._writer.flush()
        while line := self._reader.readline():
            if not line.strip():
                continue
            message = json.loads(line)
            if message["action"] == "status":
                assert message["responseFor"] == action
                return True
            self._checkpoint(message)
        return False

    def _checkpoint(self, message: dict[str, Any]) -> None:
        number = message["sequenceNumber"]
        error = self.refuse(number)
        if error is None:
            self.checkpoints.append((number, message["subSequenceNumber"]))
        answer = {**message, "error": error} if error else message
        self._writer.write(json.dumps(answer).encode() + b"\n")
        self._writer.flush()

    def initialize(self, checkpoint: str = "TRIM_HORIZON", sub: int = 0) -> bool:
        """Take the shard up."""
        return self.send(
            "initialize",
            shardId="shardId-0",
            sequenceNumber=checkpoint,
            subSequenceNumber=sub,
        )

    def records(self, *records: tuple[int, bytes], behind: int = 0) -> bool:
        """Deliver records, each with its sequence number; returns when they are handled.

        Records are answered when they are taken up: so a tick behind them is waited for too.
        """
        delivered = self._deliver(records, behind)
        return self._deliver((), behind) if delivered and records else delivered

    def _deliver(self, records: Sequence[tuple[int, bytes]], behind: int) -> bool:
        return self.send(
            "processRecords",
            millisBehindLatest=behind,
            records=[
                {
                    "action": "record",
                    "data": base64.b64encode(data).decode(),
                    "partitionKey": "shop",
                    "sequenceNumber": str(number),
                    "subSequenceNumber": 0,
                    "approximateArrivalTimestamp": 1_900_000_000_000,
                }
                for number, data in records
            ],
        )

    def close(self) -> None:
        """Close the pipe, as a daemon that dies does, and wait for the child."""
        self._writer.close()
        assert self._thread is not None
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        self._reader.close()
        self._source.close()
