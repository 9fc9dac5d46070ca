import os
import sys
import tempfile

import pyarrow as pa
from pyspark.sql import SparkSession

from common import check

os.environ["PYSPARK_PYTHON"] = sys.executable

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    # So that a plan is final before it runs, and its metrics are those of the run.
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
}
builder = SparkSession.builder.master("local[2]")
for name, value in SETTINGS.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

PUSHDOWN = "spark.sql.parquet.filterPushdown"


def literal(value):
    return f"'{value}'" if isinstance(value, str) else f"{value!r}D" if isinstance(value, float) else f"{value}"


def save(batches, folder):
    for batch in batches:
        handle, file = tempfile.mkstemp(dir=folder)
        os.close(handle)
        with pa.OSFile(file, "w") as to, pa.ipc.new_file(to, batch.schema) as writer:
            writer.write(batch)
        yield pa.record_batch({"file": [file]})


class Spark:
    # Its `**` is one directory; in a directory it takes `partition-0.json` for a Parquet file.
    cannot = [("batches", "**/*.parquet"), ("flat", "**/*.parquet"), ("flat", "")]
    reads_all = []

    def count(self, path):
        return spark.read.parquet(path).count()

    def read(self, path):
        self.everything = path
        with tempfile.TemporaryDirectory() as folder:
            # Not by way of the driver, which has no memory for it.
            saved = spark.read.parquet(path).mapInArrow(lambda batches: save(batches, folder), "file string").collect()
            tables = [pa.ipc.open_file(pa.OSFile(row.file)).read_all() for row in saved]
        return pa.concat_tables(tables)

    def filtered(self, path, *condition):
        rows = self.where(path, *condition)
        found = self.arrow(rows)["row"]
        (scan,) = [leaf for leaf in self.leaves(rows) if leaf.metrics().contains("numOutputRows")]
        # It counts the rows that it decoded; a row group has 1,048,576 of them.
        return found, -(-scan.metrics().get("numOutputRows").get().value() // (1 << 20))

    def in_memory(self, _, *condition):
        spark.conf.set(PUSHDOWN, "false")
        found = self.arrow(self.where(self.everything, *condition))["row"]
        spark.conf.set(PUSHDOWN, "true")
        return found

    def where(self, path, column, operator, value):
        return spark.read.parquet(path).where(f"`{column}` {operator} {literal(value)}").select("row")

    def leaves(self, rows):
        plan = rows._jdf.queryExecution().executedPlan().collectLeaves()
        return [plan.apply(index) for index in range(plan.size())]

    def arrow(self, rows):
        batches = rows._collect_as_arrow()
        return pa.Table.from_batches(batches) if batches else pa.table({"row": pa.array([], pa.int64())})


check(Spark())
