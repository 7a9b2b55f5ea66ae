"""Events whose fields grow in number, each a function of its id; and an event put together again from a row of its table.

An id is `partition * STRIDE + offset`. Every `STAGE` offsets a stage begins, which adds a field to all later events.
"""

import json

STRIDE, STAGE = 10_000_000, 700
METADATA = {"_source", "_partition", "_offset", "_index", "_event_time", "_ingested_at", "_rescued_data"}

# What each stage adds: a scalar, a field of an object that is there, an object, or one of a name that no column has.
FIELDS = [
    lambda event, n: event.update(visits=n % 1000),
    lambda event, n: event["geo"].update(city=f"città-{n % 97}"),
    lambda event, n: event.update(device={"os": f"os {n % 3}", "width": 320 + n % 7}),
    lambda event, n: event.update(score=n % 90 + 0.5),
    lambda event, n: event["device"].update(screen={"height": n % 2000, "dark": n % 2 == 0}),
    lambda event, n: event.update({"first seen": f"2026-01-{n % 28 + 1:02d}"}),
    lambda event, n: event.update(ok=n % 2 == 1),
    lambda event, n: event.update(lines=[{"sku": f"s{n % 5}", "count": n % 4}]),
    lambda event, n: event["geo"].update(cell={"id": n % 64}),
    lambda event, n: event["lines"][0].update(price=n % 10 + 0.25),
    lambda event, n: event.update(visits=f"{n % 1000} times") if n % 3 == 0 else None,
    lambda event, n: event.update(last=f"naïve \"{n}\" ✓"),
]
COLUMN_FIELDS = {"first_seen": "first seen"}
# A value of another kind stands in a column of its own, beside the one of its field.
SIBLINGS = {"visits__string": "visits"}
COLUMNS = {"visits", "device", "score", "first_seen", "ok", "lines", "visits__string", "last"}


def stage(offset):
    return min(offset // STAGE, len(FIELDS))


def event(n):
    made = {"id": n, "page": f"/shop/{n % 977}", "geo": {"lat": n % 180 - 90 + 0.5}}
    for add in FIELDS[:stage(n % STRIDE)]:
        add(made, n)
    return made


def records(partitions):
    """(partition, value) without an end, partitions in turn."""
    offset = 0
    while True:
        for partition in range(partitions):
            yield partition, json.dumps(event(partition * STRIDE + offset), ensure_ascii=False).encode()
        offset += 1


def again(row):
    """The event that a row was made of: columns, and what `_rescued_data` holds beside them. A value that stands twice is an error."""
    made = {}
    for column, value in row.items():
        value = without_nulls(value)
        if column in METADATA or value is None:
            continue
        field = SIBLINGS.get(column, COLUMN_FIELDS.get(column, column))
        if field in made:
            raise ValueError(f"`{field}` stands twice")
        made[field] = value
    for key, value in json.loads(row["_rescued_data"] or "{}").items():
        put(made, key, value)
    return made


def without_nulls(value):
    """As it was in the event, where a struct's fields that are not there are null; a struct of nulls alone is none."""
    if isinstance(value, dict):
        return {key: inner for key, each in value.items() if (inner := without_nulls(each)) is not None} or None
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def put(made, key, value):
    """`a.b[0].c` of `_rescued_data`."""
    *parents, last = key.replace("[", ".[").split(".")
    place = made
    for parent in parents:
        place = place[int(parent[1:-1])] if parent.startswith("[") else place.setdefault(parent, {})
    if last in place:
        raise ValueError(f"`{key}` stands in its column, too")
    place[last] = value


def wrong(rows):
    """Rows that are not the event of their position, as (id, what is wrong), the first few."""
    found = []
    for row in rows:
        n = row["_partition"] * STRIDE + row["_offset"]
        try:
            made = again(row)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            found.append((n, repr(error)))
            continue
        if made != event(n):
            found.append((n, f"{made} is not {event(n)}"))
        if len(found) == 3:
            break
    return found
