"""An export by Spark, in one process. Starting the session is not counted; what the JVM compiles on the way is."""

from measure import measured, task
from pyspark.sql import SparkSession

TASK = task()

# The everyday columns. A struct that is null comes out as one of nulls.
PATHS = {
    "profileId": "profileId",
    "identityMap": "identityMap",
    "personalEmail.address": "named_struct('address', personalEmail.address) AS personalEmail",
    "person.name": "named_struct('name', person.name) AS person",
    "loyalty.tier": "named_struct('tier', loyalty.tier) AS loyalty",
}


def admitted(membership):
    """Whether a membership counts; both ends of the window lie in it."""
    return (
        f"({membership}.status IN ('realized', 'existing') AND {membership}.lastQualificationTime "
        f"BETWEEN TIMESTAMP '{TASK['from']}' AND TIMESTAMP '{TASK['to']}')"
    )


def members():
    segment = TASK["batches"][0]["segmentId"]
    where = admitted(f"segmentMembership['ups']['{segment}']") if segment else "true"
    return f"(SELECT * FROM profiles WHERE {where})"


def batch_id():
    return f"'{TASK['batches'][0]['batchId']}' AS batchId"


def one_table():
    columns = ", ".join(PATHS[path] for path in TASK["paths"]) or "*"
    return f"SELECT {columns}, {batch_id()} FROM {members()}"


def batches():
    """All batches in one query: every profile once for each of the wanted audiences that it is in."""
    pairs = ", ".join(f"'{batch['segmentId']}', '{batch['batchId']}'" for batch in TASK["batches"])
    wanted = ", ".join(f"'{batch['segmentId']}'" for batch in TASK["batches"])
    found = f"filter(map_entries(segmentMembership['ups']), e -> e.key IN ({wanted}) AND {admitted('e.value')})"
    return f"SELECT *, explode(transform({found}, e -> map({pairs})[e.key])) AS batchId FROM profiles"


def merged():
    """Two tables in which a profile stands once each. Memberships stand in the first alone, so that the filter goes
    before the join."""
    newer = "c.ingestTime > p.ingestTime"

    def latest(leaf):
        return f"CASE WHEN {newer} THEN coalesce(c.{leaf}, p.{leaf}) ELSE coalesce(p.{leaf}, c.{leaf}) END"

    def struct(column, **fields):
        pairs = ", ".join(f"'{name}', {value}" for name, value in fields.items())
        present = f"p.{column} IS NOT NULL OR c.{column} IS NOT NULL"
        return f"CASE WHEN {present} THEN named_struct({pairs}) END AS {column}"

    first = f"CASE WHEN {newer} THEN c.identityMap ELSE p.identityMap END"
    second = f"CASE WHEN {newer} THEN p.identityMap ELSE c.identityMap END"
    known = f"coalesce(({first})[k], array())"
    new = f"filter(coalesce(({second})[k], array()), i -> NOT exists({known}, j -> j.id = i.id))"
    keys = "array_union(map_keys(p.identityMap), map_keys(c.identityMap))"
    united = f"map_from_entries(transform({keys}, k -> struct(k, concat({known}, {new}))))"
    name = f"named_struct('firstName', {latest('person.name.firstName')}, 'lastName', {latest('person.name.lastName')})"
    return f"""
        SELECT p.* EXCEPT (identityMap, ingestTime, person, personalEmail, loyalty),
            CASE WHEN c.profileId IS NULL THEN p.identityMap ELSE {united} END AS identityMap,
            greatest(p.ingestTime, c.ingestTime) AS ingestTime,
            {struct("person", name=name, birthDate="p.person.birthDate", gender="p.person.gender")},
            {struct("personalEmail", address=latest("personalEmail.address"))},
            {struct("loyalty", tier=latest("loyalty.tier"), points=latest("loyalty.points"),
                    joined="p.loyalty.joined")},
            c.account, {batch_id()}
        FROM {members()} p LEFT JOIN crm c ON p.profileId = c.profileId"""


def with_events():
    event = "struct(timestamp, profileId, identityMap, ingestTime, eventType, commerce, productListItems)"
    # A map cannot be ordered, so that whole events cannot be sorted by themselves.
    earlier = "(a, b) -> CASE WHEN a.timestamp < b.timestamp THEN -1 WHEN a.timestamp > b.timestamp THEN 1 ELSE 0 END"
    sorted_events = f"array_sort(collect_list({event}), {earlier}) AS timeSeriesEvents"
    lists = f"SELECT profileId, {sorted_events} FROM events GROUP BY profileId"
    return f"""
        SELECT p.*, coalesce(e.timeSeriesEvents, array()) AS timeSeriesEvents, {batch_id()}
        FROM {members()} p LEFT JOIN ({lists}) e ON p.profileId = e.profileId"""


def export():
    kinds = [(batches, "segmentPerBatch"), (merged, "crm"), (with_events, "events")]
    query = next((kind for kind, asked in kinds if TASK[asked]), one_table)
    writer = spark.sql(query()).write.mode("append").option("compression", "zstd")
    writer = writer.partitionBy("batchId") if TASK["segmentPerBatch"] else writer
    writer.parquet(TASK["out"])


spark = (
    SparkSession.builder.master(f"local[{TASK['threads']}]")
    .config("spark.driver.memory", "6g")
    .config("spark.ui.enabled", "false")
    .config("spark.log.level", "ERROR")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    .config("spark.sql.shuffle.partitions", "16")
    .config("spark.hadoop.parquet.compression.codec.zstd.level", "1")
    .getOrCreate()
)
for table in ("profiles", "crm", "events"):
    if TASK[table]:
        spark.read.parquet(*TASK[table]).createOrReplaceTempView(table)
measured(export, others=[spark._jvm.java.lang.ProcessHandle.current().pid()])
spark.stop()
