"""A processor that does nothing but checkpoint: what the daemon alone costs."""

from typing import Any

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class Nothing(processor.RecordProcessorBase):  # type: ignore[misc]  # untyped library
    """Takes every list and checkpoints behind it."""

    def initialize(self, initialize_input: Any) -> None:
        """Nothing to prepare."""

    def process_records(self, process_records_input: Any) -> None:
        """Checkpoint behind what came."""
        if process_records_input.records:
            last = process_records_input.records[-1]
            process_records_input.checkpointer.checkpoint(
                last.sequence_number, last.sub_sequence_number
            )

    def lease_lost(self, lease_lost_input: Any) -> None:
        """Nothing to give back."""

    def shard_ended(self, shard_ended_input: Any) -> None:
        """Let the shard end."""
        shard_ended_input.checkpointer.checkpoint()


if __name__ == "__main__":
    kcl.KCLProcess(Nothing()).run()
