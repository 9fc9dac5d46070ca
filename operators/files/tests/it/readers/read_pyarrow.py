import operator

import pyarrow.compute as pc
import pyarrow.dataset as ds
from pathlib import Path

from common import check

OPERATORS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def dataset(path):
    root, star, pattern = path.partition("*")
    if not star:
        return ds.dataset(path, format="parquet")
    root, _, prefix = root.rpartition("/")
    return ds.dataset(sorted(map(str, Path(root).glob(prefix + star + pattern))), format="parquet")


class PyArrow:
    # In a directory it takes `partition-0.json` for a Parquet file.
    cannot = [("flat", "")]
    reads_all = []

    def count(self, path):
        return dataset(path).count_rows()

    def read(self, path):
        return dataset(path).to_table()

    def filtered(self, path, column, operator, value):
        rows, condition = dataset(path), OPERATORS[operator](pc.field(column), value)
        groups = [group for fragment in rows.get_fragments() for group in fragment.split_by_row_group(condition)]
        return rows.to_table(columns=["row"], filter=condition)["row"], len(groups)

    def in_memory(self, table, column, operator, value):
        return table.filter(OPERATORS[operator](pc.field(column), value))["row"]


check(PyArrow())
