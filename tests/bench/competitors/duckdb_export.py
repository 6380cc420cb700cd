"""An export by DuckDB.

Forms of the membership filter that were tried on an audience of 30 % and on one of 20 profiles: element access on the
map (below), the same behind `list_contains(map_keys(…))`, `map_contains` or a CASE, `list_filter` over `map_entries`,
and semi joins on the profile's id or on file and row number. DuckDB pushes element access into its Parquet scan; it is as
cheap as any of them at the first, and within a tenth of the cheapest at the second.

Forms of many batches in one query that were tried: unnesting the matching entries (below), the same behind a
`list_has_any` filter (a quarter more), and filtering a list of the wanted audiences by element access (four times as
much).
"""

import os

import duckdb
from measure import measured, task

TASK = task()
OUT = TASK["out"]
WRITE = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"

# The everyday columns. A struct that is null comes out as one of nulls, which costs less than to keep it.
PATHS = {
    "profileId": "profileId",
    "identityMap": "identityMap",
    "personalEmail.address": "{'address': personalEmail.address} AS personalEmail",
    "person.name": "{'name': person.name} AS person",
    "loyalty.tier": "{'tier': loyalty.tier} AS loyalty",
}


def scan(files):
    return f"read_parquet({files!r})"


def admitted(membership):
    """Whether a membership counts; both ends of the window lie in it."""
    return (
        f"({membership}.status IN ('realized', 'existing') AND {membership}.lastQualificationTime "
        f"BETWEEN TIMESTAMPTZ '{TASK['from']}' AND TIMESTAMPTZ '{TASK['to']}')"
    )


def member(segment, map="segmentMembership"):
    return admitted(f"{map}['ups']['{segment}']") if segment else "true"


def columns():
    return ", ".join(PATHS[path] for path in TASK["paths"]) or "*"


def one_table(batch):
    rows = f"{scan(TASK['profiles'])} WHERE {member(batch['segmentId'])}"
    return f"SELECT {columns()}, '{batch['batchId']}' AS batchId FROM {rows}"


def one_pass():
    """All batches in one query: every profile once for each of the wanted audiences that it is in."""
    batch_of = "MAP {%s}" % ", ".join(f"'{b['segmentId']}': '{b['batchId']}'" for b in TASK["batches"])
    wanted = ", ".join(f"'{b['segmentId']}'" for b in TASK["batches"])
    matched = (
        "list_filter(map_entries(segmentMembership['ups']), "
        f"lambda e: e.key IN ({wanted}) AND {admitted('e.value')})"
    )
    batches = f"list_transform({matched}, lambda e: {batch_of}[e.key])"
    return f"SELECT {columns()}, unnest({batches}) AS batchId FROM {scan(TASK['profiles'])}"


def merged(batch):
    """Two tables in which a profile stands once each. Memberships stand in the first alone, so that the filter goes
    before the join."""

    def latest(leaf):
        theirs, ours = f"coalesce(c.{leaf}, p.{leaf})", f"coalesce(p.{leaf}, c.{leaf})"
        return f"CASE WHEN c.ingestTime > p.ingestTime THEN {theirs} ELSE {ours} END"

    def struct(column, fields):
        pairs = ", ".join(f"'{name}': {value}" for name, value in fields.items())
        present = f"p.{column} IS NOT NULL OR c.{column} IS NOT NULL"
        return f"CASE WHEN {present} THEN {{{pairs}}} END AS {column}"

    name = {"firstName": latest("person.name.firstName"), "lastName": latest("person.name.lastName")}
    name = "{" + ", ".join(f"'{field}': {value}" for field, value in name.items()) + "}"
    first = "CASE WHEN c.ingestTime > p.ingestTime THEN c.identityMap ELSE p.identityMap END"
    second = "CASE WHEN c.ingestTime > p.ingestTime THEN p.identityMap ELSE c.identityMap END"
    known = f"coalesce(({first})[k], [])"
    new = f"list_filter(({second})[k], lambda i: NOT list_contains(list_transform({known}, lambda j: j.id), i.id))"
    keys = "list_distinct(list_concat(map_keys(p.identityMap), map_keys(c.identityMap)))"
    united = f"map_from_entries(list_transform({keys}, lambda k: (k, list_concat({known}, {new}))))"
    return f"""
        SELECT p.* EXCLUDE (identityMap, ingestTime, person, personalEmail, loyalty),
            CASE WHEN c.profileId IS NULL THEN p.identityMap ELSE {united} END AS identityMap,
            greatest(p.ingestTime, c.ingestTime) AS ingestTime,
            {struct("person", {"name": name, "birthDate": "p.person.birthDate", "gender": "p.person.gender"})},
            {struct("personalEmail", {"address": latest("personalEmail.address")})},
            {struct("loyalty", {"tier": latest("loyalty.tier"), "points": latest("loyalty.points"),
                                "joined": "p.loyalty.joined"})},
            c.account, '{batch['batchId']}' AS batchId
        FROM (SELECT * FROM {scan(TASK['profiles'])} WHERE {member(batch['segmentId'])}) p
        LEFT JOIN {scan(TASK['crm'])} c USING (profileId)"""


def with_events(batch):
    return f"""
        SELECT p.*, coalesce(e.timeSeriesEvents, []) AS timeSeriesEvents, '{batch['batchId']}' AS batchId
        FROM (SELECT * FROM {scan(TASK['profiles'])} WHERE {member(batch['segmentId'])}) p
        LEFT JOIN (SELECT profileId, list(e ORDER BY e.timestamp) AS timeSeriesEvents
                   FROM {scan(TASK['events'])} e GROUP BY profileId) e USING (profileId)"""


def export():
    if TASK["form"] == "one-pass":
        parts = "PARTITION_BY (batchId), WRITE_PARTITION_COLUMNS, OVERWRITE_OR_IGNORE"
        connection.execute(f"COPY ({one_pass()}) TO '{OUT}' ({WRITE}, {parts})")
        return
    query = merged if TASK["crm"] else with_events if TASK["events"] else one_table
    for batch in TASK["batches"]:
        folder = os.path.join(OUT, batch["batchId"])
        connection.execute(f"COPY ({query(batch)}) TO '{folder}' ({WRITE}, PER_THREAD_OUTPUT)")


connection = duckdb.connect()
connection.execute(f"SET threads = {TASK['threads']}")
connection.execute("SET preserve_insertion_order = false")
connection.execute("SET TimeZone = 'UTC'")
measured(export)
