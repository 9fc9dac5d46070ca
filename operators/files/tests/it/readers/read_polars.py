import operator
import os
import re
import tempfile

os.environ["POLARS_VERBOSE"] = "1"

import polars as pl

from common import check

OPERATORS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def logged(call):
    """The result of a call, and what was written to the standard error meanwhile."""
    with tempfile.TemporaryFile("w+") as log:
        kept = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            result = call()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        log.seek(0)
        return result, log.read()


class Polars:
    # In a directory it wants files with one extension.
    cannot = [("batches", ""), ("flat", "")]
    # It skips nothing where a NaN could pass.
    reads_all = [("wind", ">", 250.0)]

    def count(self, path):
        return logged(lambda: pl.scan_parquet(path).select(pl.len()).collect().item())[0]

    def read(self, path):
        return logged(lambda: pl.scan_parquet(path).collect().to_arrow())[0]

    def filtered(self, path, column, operator, value):
        rows = pl.scan_parquet(path).filter(self.condition(column, operator, value)).select("row")
        found, log = logged(rows.collect)
        groups = re.findall(r"reading (\d+) / \d+ row groups", log)
        return found["row"].to_arrow(), sum(map(int, groups)) if groups else None

    def in_memory(self, table, column, operator, value):
        return pl.from_arrow(table).filter(self.condition(column, operator, value))["row"].to_arrow()

    def condition(self, column, operator, value):
        return OPERATORS[operator](pl.col(column), value)


check(Polars())
