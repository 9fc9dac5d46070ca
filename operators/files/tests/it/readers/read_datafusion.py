import re
from pathlib import Path

import datafusion

from common import check


def literal(value):
    return f"'{value}'" if isinstance(value, str) else f"CAST({value!r} AS DOUBLE)" if isinstance(value, float) else f"{value!r}"


def where(column, operator, value):
    return f'WHERE "{column}" {operator} {literal(value)}'


class DataFusion:
    # A pattern with `=` in it finds nothing.
    cannot = [("batches", "segment=*/batch=*/*.parquet")]
    reads_all = []

    def count(self, path):
        return self.sql(path, "SELECT count(*) AS rows FROM archive")["rows"][0].as_py()

    def read(self, path):
        return self.sql(path, "SELECT * FROM archive")

    def filtered(self, path, *condition):
        found = self.sql(path, f"SELECT row FROM archive {where(*condition)}")
        plan = str(self.sql(path, f"EXPLAIN ANALYZE SELECT row FROM archive {where(*condition)}").to_pylist())
        groups = re.findall(r"row_groups_matched_statistics=(\d+)", plan)
        return found["row"], sum(map(int, groups)) if groups else None

    def in_memory(self, table, *condition):
        context = datafusion.SessionContext()
        context.register_record_batches("archive", [table.to_batches()])
        return context.sql(f"SELECT row FROM archive {where(*condition)}").to_arrow_table()["row"]

    def sql(self, path, query):
        context = datafusion.SessionContext()
        context.register_parquet("archive", path)
        return context.sql(query).to_arrow_table()


check(DataFusion())
