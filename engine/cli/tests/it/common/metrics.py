"""Reads OpenMetrics text from standard input with Prometheus' own strict parser; prints its samples, a JSON object a line."""
import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

seen = set()
for family in text_string_to_metric_families(sys.stdin.read()):
    if not family.documentation:
        sys.exit(f"{family.name} has no help")
    for sample in family.samples:
        series = (sample.name, frozenset(sample.labels.items()))
        if series in seen:
            sys.exit(f"{sample.name} {sample.labels} twice")
        seen.add(series)
        print(json.dumps({
            "family": family.name, "type": family.type, "unit": family.unit,
            "name": sample.name, "labels": dict(sorted(sample.labels.items())), "value": sample.value,
        }))
