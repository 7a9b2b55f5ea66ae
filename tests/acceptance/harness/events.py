"""The events of the load, each a function of its id, so that a reader can recompute every value.

An id is `partition * STRIDE + offset`: a row whose id and `_partition`, `_offset` disagree shows at once.
"""

import json

STRIDE = 10_000_000

GOOD, MALFORMED, TOMBSTONE = "good", "malformed", "tombstone"


def kind(n, seed):
    """0.1 % of the events are malformed and 0.05 % are tombstones, chosen by the seed."""
    hashed = (n * 2654435761 + seed * 40503) % 4294967291 % 2000
    return MALFORMED if hashed < 2 else TOMBSTONE if hashed == 2 else GOOD


def event(n, extended):
    """150 to 300 bytes of JSON; `extended` events carry fields that the earlier ones lack."""
    note = "" if n % 11 == 0 else '"note":null,' if n % 7 == 0 else f'"note":"nótă „{n}” \\u2713 日本\\n",'
    city = f',"city":"city-{n % 97}"' if extended else ""
    campaign = f',"campaign":"c-{n % 50}"' if extended and n % 3 else ""
    return (
        f'{{"id":{n},"visitor":"user-{n % 5000}","amount":{n % 1000}.25,"ok":{"true" if n % 2 else "false"},{note}'
        f'"at":"2026-01-01T00:00:{n % 60:02d}Z","geo":{{"lat":{n % 180 - 90}.5,"cell":{n % 64}{city}}},'
        f'"tags":["a{n % 3}","b"],"page":"/shop/{n % 977}/item"{campaign}}}'
    )


def malformed(n):
    """What no JSON reader takes, with the id in it."""
    whole = event(n, False).encode()
    return [whole[:-20], whole[:-1] + b',"x":tru}', whole.replace(b'"user-', b'"\xff\xfe-'), whole + b" x"][n % 4]


def mismatch(kind_of_sql, extended_from=None):
    """SQL that is true of a row of which any value is not the one produced.

    `extended_from`: the offset from which events are extended. A new field's value counts as kept where it stands in
    its column or, while the column was not there yet, in `_rescued_data`.
    """
    first = {"spark": "tags[0]", "duckdb": "tags[1]"}[kind_of_sql]
    rescued = {"spark": "get_json_object(_rescued_data, '{}')", "duckdb": "json_extract_string(_rescued_data, '{}')"}[kind_of_sql]
    wanted = {
        "visitor": "concat('user-', id % 5000)",
        "amount": "id % 1000 + 0.25",
        "ok": "id % 2 = 1",
        "note": "case when id % 11 <> 0 and id % 7 <> 0 then concat('nótă „', id, '” ✓ 日本', chr(10)) end",
        "geo.lat": "id % 180 - 90 + 0.5 * (case when id % 180 < 90 then -1 else 1 end)",
        "geo.cell": "id % 64",
        first: "concat('a', id % 3)",
        "page": "concat('/shop/', id % 977, '/item')",
    }
    if extended_from is not None:
        late = f"_offset >= {extended_from}"
        city, campaign = rescued.format("$.geo.city"), rescued.format("$.campaign")
        wanted[f"coalesce(geo.city, {city})"] = f"case when {late} then concat('city-', id % 97) end"
        wanted[f"coalesce(campaign, {campaign})"] = f"case when {late} and id % 3 <> 0 then concat('c-', id % 50) end"
    return " or ".join(f"({column} is distinct from {value})" for column, value in wanted.items())


def kafka_records(partitions, per_partition, seed, extended_from):
    """(partition, value) of the whole load, partitions in turn."""
    for offset in range(per_partition):
        for partition in range(partitions):
            n = partition * STRIDE + offset
            what = kind(n, seed)
            if what == GOOD:
                yield partition, event(n, offset >= extended_from).encode()
            else:
                yield partition, malformed(n) if what == MALFORMED else None


def self_test():
    """Every good event is JSON and no malformed one is."""
    for n in [0, 7, 11, 12, 13, 14, 15, STRIDE + 89, STRIDE + 91]:
        assert json.loads(event(n, True))["id"] == n
        try:
            json.loads(malformed(n))
        except ValueError:
            continue
        raise AssertionError(malformed(n))
