#!/usr/bin/env python3
"""Second reader: recounts the export that `local --once` left on disk, without any of our code.

    recount.py DATA [JOB]

JOB (DATA/job.json) is the finished job as GET answers it; DATA/s3/<bucket>/<key> are the objects. PyIceberg says which data
and delete files the current snapshots name. DuckDB leaves deleted rows out and filters by the united memberships; members'
fragments are merged here, leaf by leaf, the later over the earlier. That must be the exported rows, as a multiset of whole
records. Exit code 1 and the first differences where it is not.
"""

import collections
import datetime
import functools
import json
import pathlib
import sys

import duckdb
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import StaticTable

# The sample's merge policies: fragments of one profileId are one profile, and of two values the later one wins, or the CRM's.
POLICIES = {"sample-default": False, "crm-first": True}
# What the sample's CRM table calls our columns.
MAPPED = {"customer_id": "profileId", "updated_at": "ingestTime"}


def as_rows(relation):
    return relation.to_arrow_table().to_pylist(maps_as_pydicts="strict")


class FolderIO(PyArrowFileIO):
    """Reads s3://bucket/key from the folder that the local object store keeps its buckets in."""

    def new_input(self, location):
        return super().new_input(location.replace("s3://", self.properties["folder"] + "/"))


class Table:
    """A table at its current snapshot."""

    def __init__(self, folder, metadata):
        properties = {"py-io-impl": f"{__name__}.FolderIO", "folder": str(folder)}
        self.table = StaticTable.from_metadata(str(metadata), properties)
        self.folder = str(folder)
        self.columns = {field.name for field in self.table.schema().fields}
        self.profile_id = "customer_id" if "customer_id" in self.columns else "profileId"

    def files(self, content=DataFileContent.DATA, batch=None):
        """The live files of one kind, of one batch or of all, each with its path here and its sequence number."""
        snapshot = self.table.current_snapshot()
        for manifest in snapshot.manifests(self.table.io) if snapshot else []:
            names = [field.name for field in self.table.specs()[manifest.partition_spec_id].fields]
            for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True):
                file = entry.data_file
                partition = dict(zip(names, [file.partition[i] for i in range(len(names))]))
                if file.content == content and (batch is None or partition.get("batchId") == batch):
                    yield file, file.file_path.replace("s3://", self.folder + "/"), entry.sequence_number

    def make_live(self, connection, name):
        """Makes a DuckDB table of the rows that no delete file takes away: by file and number, or by id in older files."""
        data = [(path, sequence) for _, path, sequence in self.files()]
        for columns in ("files (path text, seq bigint)", "positions (path text, pos bigint)", "gone (id text, seq bigint)"):
            connection.execute(f"create or replace temp table {columns}")
        connection.executemany("insert into files values (?, ?)", data)
        for _, path, _ in self.files(DataFileContent.POSITION_DELETES):
            deleted = "select replace(file_path, 's3://', ?), pos from read_parquet(?)"
            connection.execute(f"insert into positions {deleted}", [self.folder + "/", path])
        for file, path, sequence in self.files(DataFileContent.EQUALITY_DELETES):
            assert [self.table.schema().find_column_name(field) for field in file.equality_ids] == [self.profile_id]
            connection.execute(f"insert into gone select {self.profile_id}, ? from read_parquet(?)", [sequence, path])
        named = ", ".join(f"{theirs} as {ours}" for theirs, ours in MAPPED.items() if theirs in self.columns)
        named = f"rename ({named})" if named else ""
        live = f"""select * exclude (filename, file_row_number) {named}
            from read_parquet(?, union_by_name=true, hive_partitioning=false, filename=true, file_row_number=true) r
            where not exists (from positions p where p.path = r.filename and p.pos = r.file_row_number) and not exists
            (from gone g join files f on f.path = r.filename where g.id = r.{self.profile_id} and f.seq < g.seq)"""
        connection.execute(f"create temp table {name} as {live}", [[path for path, _ in data]])


def newest_metadata(folder):
    """The newest metadata file of every table below the folder. Names with a dot are the store's own notes."""
    files = [path for path in folder.glob("**/metadata/*.metadata.json") if not path.name.startswith(".")]
    read = {path: json.loads(path.read_text()) for path in files}
    files.sort(key=lambda path: (read[path]["last-updated-ms"], len(read[path].get("metadata-log", []))))
    return {path.parent: path for path in files}.values()


def members(connection, names, job_filter):
    """The profiles that the filter takes. Of several memberships of a profile in one segment the latest counts."""
    if not job_filter.get("segments"):
        return connection.sql(" union ".join(f"select profileId from {name}" for name in names)).fetchall()
    conditions, parameters = [], []
    for segment in job_filter["segments"]:
        statuses = set(segment.get("status") or ["realized"])
        statuses |= {"existing"} if "realized" in statuses else set()
        conditions.append("lower(ns) = lower(?) and id = ? and list_contains(?, status)")
        parameters += [segment.get("segmentNs") or "ups", segment["segmentId"], sorted(statuses)]
    query = f"""with
        namespaces as (select profileId, unnest(map_entries(segmentMembership)) n from {names[0]}),
        entries as (select profileId, n.key ns, unnest(map_entries(n.value)) e from namespaces),
        latest as (select profileId, ns, e.key id, e.value.status status from entries qualify row_number() over (
                   partition by profileId, ns, id order by e.value.lastQualificationTime desc nulls last) = 1)
        select distinct profileId from latest where {" or ".join(conditions)}"""
    return connection.execute(query, parameters).fetchall()


def overlaid(below, above, path=()):
    """Two values of one field, `above` from the later fragment. Structs go leaf by leaf, lists as wholes; identities and
    memberships are united."""
    if above is None or below is None:
        return below if above is None else above
    if path[:1] == ("identityMap",) and isinstance(above, list):
        return list(({i["id"]: i for i in below} | {i["id"]: i for i in above}).values())
    if path[:1] == ("segmentMembership",) and len(path) == 3:
        return max(above, below, key=lambda entry: str(entry["lastQualificationTime"] or ""))
    names = {**below, **above} if isinstance(above, dict) else None
    return {name: overlaid(below.get(name), above.get(name), (*path, name)) for name in names} if names else above


def merged_members(connection, sources, job_filter, crm_first):
    names = [f"source{i}" for i in range(len(sources))]
    for name, source in zip(names, sources):
        source.make_live(connection, name)
    wanted = [row[0] for row in members(connection, names, job_filter)]
    connection.execute("create temp table wanted as select unnest(?) as profileId", [wanted])
    fragments = collections.defaultdict(list)
    for place, name in enumerate(names):
        for row in as_rows(connection.sql(f"from {name} semi join wanted using (profileId)")):
            fragments[row["profileId"]].append((crm_first and place, row["ingestTime"], row))
    for rows in fragments.values():
        rows.sort(key=lambda row: row[:2])
        merged = functools.reduce(overlaid, (row for *_, row in rows))
        yield {**merged, "ingestTime": max(time for _, time, _ in rows)}


def plain(value):
    """A value in one spelling: times in UTC, identities in order, absent and null the same."""
    if isinstance(value, dict):
        return {name: inner for name in sorted(value) if (inner := plain(value[name])) is not None} or None
    if isinstance(value, list):
        identities = value and isinstance(value[0], dict) and "authenticatedState" in value[0]
        return [plain(inner) for inner in (sorted(value, key=lambda i: i["id"]) if identities else value)]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    return str(value) if isinstance(value, datetime.date) else value


def projected(value, paths):
    """What the paths keep of a value. A path goes on into every element of a list; `*` is any key of a map."""
    if isinstance(value, list) and all(paths):
        return [projected(inner, paths) for inner in value]
    if not isinstance(value, dict) or not all(paths):
        return None if all(paths) else value
    tails = {name: [path[1:] for path in paths if path[0] in (name, "*")] for name in value}
    return {name: projected(inner, tails[name]) for name, inner in value.items() if tails[name]}


def record(row, paths=None):
    return json.dumps(plain(projected(row, paths) if paths else row | {"batchId": None}) or {}, sort_keys=True)


def differences(job, sources, export):
    destination, job_filter = job["destination"], job.get("filter") or {}
    reported = job["metrics"]["totalExportedProfileCounter"]
    unknown = job_filter.keys() - {"segments"} or job.get("additionalFields") or destination.get("segmentPerBatch")
    if unknown or job["mergePolicy"]["id"] not in POLICIES:
        sys.exit("recount: knows one batch, segments, fields and the sample's merge policies only")
    if job["status"] != "SUCCEEDED":
        sys.exit(f"recount: the job is {job['status']}")
    connection = duckdb.connect()
    ours = list(merged_members(connection, sources, job_filter, POLICIES[job["mergePolicy"]["id"]]))
    files = list(export.files(batch=destination["batchId"]))
    read = connection.read_parquet([path for _, path, _ in files], hive_partitioning=False) if files else None
    theirs = as_rows(read) if files else []
    fields = [path.strip().split(".") for path in (job.get("fields") or "").split(",") if path.strip()]
    pairs = {
        "members": (len(ours), reported),
        "exported rows": (len(theirs), reported),
        "rows by the manifests": (sum(file.record_count for file, _, _ in files), len(theirs)),
        "batches of other jobs": ({row["batchId"] for row in theirs} - {destination["batchId"]}, set()),
    }
    if not fields or ["identityMap"] in fields:
        counted = collections.Counter(ns for row in theirs for ns, ids in (row["identityMap"] or {}).items() if ids)
        pairs["profiles by namespace"] = (dict(counted), job["metrics"].get("exportedProfileByNamespaceCounter"))
    yield from (f"{what}: counted {a}, reported {b}" for what, (a, b) in pairs.items() if a != b)
    own = collections.Counter(record(row, fields) for row in ours)
    exported = collections.Counter(record(row) for row in theirs)
    for name, rest in (("missing", own - exported), ("not a member's", exported - own)):
        yield from [f"{rest.total()} rows {name}, such as", *sorted(rest)[:3]] if rest else []


def main(data, job=None):
    job = json.loads(pathlib.Path(job or f"{data}/job.json").read_text())
    folder = pathlib.Path(data) / "s3"
    tables = [Table(folder, metadata) for metadata in newest_metadata(folder)]
    [export] = [table for table in tables if "batchId" in table.columns]
    sources = [table for table in tables if not table.columns & {"batchId", "eventType"}]
    sources.sort(key=lambda table: "segmentMembership" not in table.columns)
    if found := list(differences(job, sources, export)):
        sys.exit("recount: the export is not what the sources hold\n" + "\n".join(found))
    print(f"recount: {job['metrics']['totalExportedProfileCounter']} rows, all equal to the merged sources'")


if __name__ == "__main__":
    main(*sys.argv[1:])
