"""NDJSON to one Parquet file with polars' streaming engine: polars_sink.py KIND IN OUT."""

import sys

import polars as pl

from columns import polars_types, schema

kind, source, out = sys.argv[1:]
pl.scan_ndjson(source, schema=schema(kind, polars_types())).sink_parquet(out, compression="zstd", compression_level=1)
