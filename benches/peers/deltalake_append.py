"""NDJSON to a Delta table with pyarrow's reader and deltalake's writer: deltalake_append.py KIND IN OUT."""

import sys

import pyarrow as pa
from deltalake import WriterProperties, write_deltalake
from pyarrow import json

from columns import pyarrow_types, schema

kind, source, out = sys.argv[1:]
pa.set_cpu_count(1)
parse = json.ParseOptions(explicit_schema=pa.schema(schema(kind, pyarrow_types())), unexpected_field_behavior="ignore")
reader = json.open_json(source, read_options=json.ReadOptions(use_threads=False, block_size=16 << 20), parse_options=parse)
write_deltalake(out, reader, mode="append", writer_properties=WriterProperties(compression="ZSTD", compression_level=1))
