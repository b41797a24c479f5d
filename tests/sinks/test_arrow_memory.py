"""Arrow without pandas and file systems writes and reads the same Parquet."""

import subprocess
import sys

_PROGRAM = """
import sys
from sinks.arrow_memory import import_lean_arrow
import_lean_arrow()
import io
import pyarrow as pa
import pyarrow.parquet as pq
table = pa.table({"shop": ["b", "a"]}).take(pa.array([1, 0]))
file = io.BytesIO()
pq.write_table(table, file)
assert pq.read_table(file, partitioning=None)["shop"].to_pylist() == ["a", "b"]
for name in ("pandas", "pyarrow._s3fs", "pyarrow._gcsfs", "pyarrow._azurefs", "pyarrow._hdfs"):
    assert name not in sys.modules, name
import pandas
assert len(pandas.DataFrame({"shop": ["a"]})) == 1
"""


def test_what_is_left_out_is_missed_by_nobody() -> None:
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True, timeout=120)
