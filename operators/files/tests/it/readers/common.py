"""What each reader has to show about an archive, whatever its layout.

    python read_NAME.py ARCHIVE LAYOUT REFERENCE

REFERENCE is an Arrow IPC file with all committed rows, which their column `row` tells apart. A reader is a class with

- `cannot`: layouts with patterns that it doesn't understand ("" is the directory itself);
- `reads_all`: filters with which it skips nothing, though it could;
- `count(path)`: how many rows a path (a pattern or a directory) gives;
- `read(path)`: those rows as an Arrow table;
- `filtered(path, column, operator, value)`: the column `row` of those that pass, and how many row groups were read
  (`None` where the reader doesn't say, as it skips none);
- `in_memory(table, column, operator, value)`: the same filter over an Arrow table, so without anything to skip.
"""

import sys
from pathlib import Path

import pyarrow as pa

# A filter, and how many row groups of the only file that has three it may read.
FILTERS = [
    (("row", ">=", 2_100_000), 1),
    (("row", "<", 1_000), 1),
    (("date", ">=", "2002-11-20"), 1),
    (("wind", ">", 250.0), 1),
    (("wind", "<", -250.0), 0),
    (("rain", "=", 0.0), 3),
    (("rain", ">=", 0.0), 3),
    (("rain", "<=", -0.0), 3),
    # A NaN is above and below everything in some readers, so none of them may skip it.
    (("degrees", ">", 250.0), 3),
    (("degrees", ">", 1e300), 3),
    (("degrees", "<", -1e300), 3),
    (("station_id", "=", "station-7"), 3),
    (("station_id", "=", "station-07"), 3),
]


def check(reader):
    archive, layout, reference = Path(sys.argv[1]), sys.argv[2], pa.ipc.open_file(sys.argv[3]).read_all()
    patterns = [{"batches": "segment=*/batch=*/*.parquet", "flat": "*.parquet"}[layout], "**/*.parquet", ""]
    for pattern in patterns:
        if (layout, pattern) not in reader.cannot:
            rows = reader.count(str(archive / pattern))
            assert rows == reference.num_rows, f"`{pattern}`: {rows} rows, not {reference.num_rows}"
    everything = str(archive / next(pattern for pattern in patterns if (layout, pattern) not in reader.cannot))
    compare(reader.read(everything), reference)
    (large,) = [path for path in archive.glob("**/*.parquet") if path.stat().st_size > 1 << 20]
    for condition, groups in FILTERS:
        everywhere, _ = reader.filtered(everything, *condition)
        expected = reader.in_memory(reference.select(sorted({"row", condition[0]})), *condition)
        assert in_order(everywhere) == in_order(expected), f"{condition}: {len(everywhere)} rows, not {len(expected)}"
        found, read = reader.filtered(str(large), *condition)
        print(f"{condition}: {len(everywhere)} rows, {'?' if read is None else read} of 3 row groups read")
        if condition in reader.reads_all:
            groups = 3
        assert read is None and groups > 1 or read <= groups, f"{condition}: {read} row groups read, not {groups}"


def in_order(rows):
    rows = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
    return rows.cast(pa.int64()).sort()


def compare(table, reference):
    """Every value, to the bit: -0.0 equals 0.0, and NaN nothing."""
    assert table.num_rows == reference.num_rows, f"{table.num_rows} rows, not {reference.num_rows}"
    columns = {field.name: table[field.name].cast(field.type) for field in reference.schema}
    table, reference = pa.table(columns).sort_by("row"), reference.sort_by("row")
    for name in columns:
        actual, expected = table[name].combine_chunks(), reference[name].combine_chunks()
        if pa.types.is_floating(expected.type):
            bits = pa.int64() if expected.type == pa.float64() else pa.int32()
            actual, expected = actual.view(bits), expected.view(bits)
        assert actual.equals(expected), f"column {name} differs"
