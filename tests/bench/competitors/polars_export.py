"""An export by Polars, on its streaming engine.

Forms of the membership filter that were tried: `map.get` (below), the same behind `map.contains_key`, and a semi join
on the profile's id; both cost more.
"""

import os
from datetime import datetime

from measure import measured, task

TASK = task()
os.environ["POLARS_MAX_THREADS"] = str(TASK["threads"])

import polars as pl  # noqa: E402  (the threads are set before)

FROM, TO = (TASK[end] and datetime.fromisoformat(TASK[end]) for end in ("from", "to"))
IDENTITY = pl.Struct({"id": pl.String, "authenticatedState": pl.String, "primary": pl.Boolean})


def part(column, field):
    return pl.struct(pl.col(column).struct.field(field)).alias(column)


# The everyday columns. A struct that is null comes out as one of nulls.
PATHS = {
    "profileId": pl.col("profileId"),
    "identityMap": pl.col("identityMap"),
    "personalEmail.address": part("personalEmail", "address"),
    "person.name": part("person", "name"),
    "loyalty.tier": part("loyalty", "tier"),
}


def scan(table):
    return pl.scan_parquet(TASK[table])


def admitted(membership):
    """Whether a membership counts; both ends of the window lie in it."""
    field = membership.struct.field
    return field("status").is_in(["realized", "existing"]) & field("lastQualificationTime").is_between(FROM, TO)


def members():
    segment = TASK["batches"][0]["segmentId"]
    if segment is None:
        return scan("profiles")
    return scan("profiles").filter(admitted(pl.col("segmentMembership").map.get("ups").map.get(segment)))


def batch_id():
    return pl.lit(TASK["batches"][0]["batchId"]).alias("batchId")


def one_table():
    columns = [PATHS[path] for path in TASK["paths"]] or [pl.all()]
    return members().select(*columns, batch_id())


def batches():
    """All batches in one query: every profile once for each of the wanted audiences that it is in."""
    batch_of = {batch["segmentId"]: batch["batchId"] for batch in TASK["batches"]}
    key, value = (pl.element().struct.field(name) for name in ("key", "value"))
    wanted = key.is_in(list(batch_of)) & admitted(value)
    found = pl.col("segmentMembership").map.get("ups").map.entries().list.eval(key.filter(wanted))
    rows = scan("profiles").with_columns(found.alias("batchId")).filter(pl.col("batchId").list.len() > 0)
    return rows.explode("batchId").with_columns(pl.col("batchId").replace_strict(batch_of, return_dtype=pl.String))


def merged():
    """Two tables in which a profile stands once each. Memberships stand in the first alone, so that the filter goes
    before the join."""
    crm = scan("crm").select(pl.col("profileId"), pl.exclude("profileId").name.prefix("crm_"))
    rows = members().join(crm, on="profileId", how="left")
    newer = (pl.col("crm_ingestTime") > pl.col("ingestTime")).fill_null(False)

    def latest(column, *path):
        ours, theirs = pl.col(column), pl.col(f"crm_{column}")
        for step in path:
            ours, theirs = ours.struct.field(step), theirs.struct.field(step)
        value = pl.when(newer).then(pl.coalesce(theirs, ours)).otherwise(pl.coalesce(ours, theirs))
        return value.alias((column, *path)[-1])

    def struct(column, *fields):
        present = pl.col(column).is_not_null() | pl.col(f"crm_{column}").is_not_null()
        return pl.when(present).then(pl.struct(*fields)).alias(column)

    def own(column, field):
        return pl.col(column).struct.field(field)

    identities = united_identities(rows, newer)
    rows = rows.with_columns(
        pl.max_horizontal("ingestTime", "crm_ingestTime").alias("ingestTime"),
        struct(
            "person",
            pl.struct(latest("person", "name", "firstName"), latest("person", "name", "lastName")).alias("name"),
            own("person", "birthDate"),
            own("person", "gender"),
        ),
        struct("personalEmail", latest("personalEmail", "address")),
        struct("loyalty", latest("loyalty", "tier"), latest("loyalty", "points"), own("loyalty", "joined")),
        pl.col("crm_account").alias("account"),
        batch_id(),
    )
    rows = rows.select(pl.exclude("^crm_.*$")).join(identities, on="profileId", how="left")
    return rows.with_columns(pl.coalesce("united", "identityMap").alias("identityMap")).drop("united")


def united_identities(rows, newer):
    """The identities of profiles that both tables have: every id of a namespace once, as the newer table tells it."""
    both = rows.filter(pl.col("crm_ingestTime").is_not_null())
    tables = [("identityMap", pl.lit(0)), ("crm_identityMap", pl.when(newer).then(-1).otherwise(1))]
    each = [
        both.select("profileId", pl.col(column).map.entries().alias("entry"), rank.cast(pl.Int8).alias("rank"))
        .explode("entry")
        .select("profileId", "rank", own.struct.field("key").alias("key"), own.struct.field("value").alias("identity"))
        .explode("identity")
        for own, (column, rank) in zip([pl.col("entry")] * 2, tables)
    ]
    first = pl.concat(each).with_columns(pl.col("identity").struct.field("id").alias("id"))
    first = first.sort("profileId", "key", "rank", maintain_order=True)
    first = first.unique(["profileId", "key", "id"], keep="first", maintain_order=True)
    lists = first.group_by("profileId", "key", maintain_order=True).agg(pl.col("identity").alias("value"))
    maps = lists.group_by("profileId").agg(pl.struct("key", "value").alias("united"))
    return maps.with_columns(pl.col("united").cast(pl.Map(pl.String, pl.List(IDENTITY))))


def with_events():
    events = scan("events").sort("timestamp").group_by("profileId", maintain_order=True)
    lists = events.agg(pl.struct("profileId", pl.exclude("profileId")).alias("timeSeriesEvents"))
    rows = members().join(lists, on="profileId", how="left").with_columns(batch_id())
    return rows.with_columns(pl.col("timeSeriesEvents").fill_null([]))


def export():
    kinds = [(batches, "segmentPerBatch"), (merged, "crm"), (with_events, "events")]
    query = next((kind for kind, asked in kinds if TASK[asked]), one_table)
    out = os.path.join(TASK["out"], "part.parquet")
    if TASK["segmentPerBatch"]:
        out = pl.PartitionBy(TASK["out"], key="batchId", include_key=True)
    query().sink_parquet(
        out, compression="zstd", compression_level=1, maintain_order=False, engine="streaming", mkdir=True
    )


measured(export)
