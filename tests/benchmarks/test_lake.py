"""What the lake weighs beside the JSON that came: the goal is a fourteenth."""

import pytest

from benchmarks.lake import compacted, sample


@pytest.mark.thorough
def test_merged_days_of_the_sample_stream_are_a_fourteenth_of_the_json() -> None:
    lake = sample()
    files, _ = compacted(lake.files)
    assert lake.transactions > 60_000
    assert sum(map(len, files.values())) * 14 <= lake.json_bytes
