"""What the original takes for the same courses: its pickle, compressed as it stores it, and what
reading one back takes in memory. A block structure in the original's own shape is filled with what
a store of ours holds of every course.

    courseblocks --store DIR import ../shared/courses/*.tar.gz
    pip install edx-opaque-keys
    python3 benches/original.py target/release/courseblocks DIR
"""

import json
import pickle
import re
import subprocess
import sys
import tracemalloc
import zlib
from datetime import datetime

from opaque_keys.edx.keys import UsageKey


class FieldData:
    def __init__(self):
        self.fields = {}


class TransformerData(FieldData):
    pass


class TransformerDataMap(dict):
    pass


class BlockData(FieldData):
    def __init__(self, location):
        super().__init__()
        self.location = location
        self.transformer_data = TransformerDataMap()


class BlockRelations:
    def __init__(self):
        self.parents = []
        self.children = []


DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def value(stored):
    if isinstance(stored, str) and DATE.fullmatch(stored):
        return datetime.fromisoformat(stored.replace("Z", "+00:00"))
    if isinstance(stored, dict):
        return {name: value(inner) for name, inner in stored.items()}
    if isinstance(stored, list):
        return [value(inner) for inner in stored]
    return stored


def transformer_data(stored):
    data = TransformerData()
    data.fields.update(value(stored if isinstance(stored, dict) else {"data": stored}))
    return data


def pickled(blocks, collected, with_fields):
    keys = {key: UsageKey.from_string(key) for key in blocks}
    relations = {key: BlockRelations() for key in keys.values()}
    data = {key: BlockData(key) for key in keys.values()}
    versions = TransformerDataMap()
    for key, block in blocks.items():
        for child in block["children"]:
            relations[keys[key]].children.append(keys[child])
            relations[keys[child]].parents.append(keys[key])
        if with_fields:
            data[keys[key]].fields.update(value(block["inherited"]))
            data[keys[key]].fields.update(value(block["fields"]))
    for name, transformer in collected.items():
        versions[name] = transformer_data({"version": transformer["write_version"]})
        for key, stored in transformer["blocks"].items():
            data[keys[key]].transformer_data[name] = transformer_data(stored)
    return pickle.dumps((relations, versions, data), protocol=4)


def memory_of(stored):
    tracemalloc.start()
    structure = pickle.loads(zlib.decompress(stored))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del structure
    return taken


def main(program, store):
    def ask(*arguments):
        command = [program, "--store", store, "--format", "json", *arguments]
        return json.loads(subprocess.check_output(command))

    sums = {with_fields: [0, 0, 0] for with_fields in (False, True)}
    count = 0
    for course in ask("courses")["courses"]:
        blocks = ask("structure", course["course_key"])["blocks"]
        collected = ask("get", course["course_key"])["transformers"]
        count += len(blocks)
        for with_fields, sizes in sums.items():
            raw = pickled(blocks, collected, with_fields)
            stored = zlib.compress(raw)
            sizes[0] += len(raw)
            sizes[1] += len(stored)
            sizes[2] += memory_of(stored)
    for with_fields, sizes in sums.items():
        raw, stored, memory = (round(size / count, 1) for size in sizes)
        what = "and all fields" if with_fields else "alone"
        print(f"transformers' data {what}: {stored} bytes a block ({raw} pickled, {memory} in memory)")


if __name__ == "__main__":
    main(*sys.argv[1:])
