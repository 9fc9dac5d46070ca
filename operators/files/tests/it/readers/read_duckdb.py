import re

import duckdb

from common import check

duckdb.sql("SET TimeZone = 'UTC'")


def literal(value):
    return f"'{value}'" if isinstance(value, str) else f"{value!r}"


def where(column, operator, value):
    return f"WHERE {column} {operator} {literal(value)}"


class DuckDB:
    # It reads patterns of files, not directories.
    cannot = [("batches", ""), ("flat", "")]
    reads_all = []

    def count(self, path):
        return duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0]

    def read(self, path):
        return duckdb.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table()

    def filtered(self, path, *condition):
        query = f"SELECT row FROM read_parquet('{path}') {where(*condition)}"
        plan = str(duckdb.sql(f"EXPLAIN ANALYZE {query}").fetchall())
        # Where it skips a whole file it says nothing of it.
        groups = re.findall(r"Row Groups Scanned: (\d+)", plan)
        return duckdb.sql(query).to_arrow_table()["row"], sum(map(int, groups))

    def in_memory(self, table, *condition):
        duckdb.register("reference", table)
        return duckdb.sql(f"SELECT row FROM reference {where(*condition)}").to_arrow_table()["row"]


check(DuckDB())
