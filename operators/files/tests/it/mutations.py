"""Reads archives with pyarrow; prints of each directory whether it holds every row unchanged: `DIR same|other|unreadable`.

Usage: mutations.py PATTERN ROWS DIR...; ROWS is a file of the rows that must be there, one JSON array a line, in any order.
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq


def rows(directory, pattern):
    for path in sorted(Path(directory).glob(pattern)):
        for row in pq.ParquetFile(path).read().to_pylist():
            yield json.dumps([row["station_id"], row["date"], row["degrees"]])


pattern, expected = sys.argv[1], sorted(Path(sys.argv[2]).read_text().split("\n")[:-1])
for directory in sys.argv[3:]:
    try:
        print(directory, "same" if sorted(rows(directory, pattern)) == expected else "other")
    except Exception:
        print(directory, "unreadable")
