#!/usr/bin/env python3
"""Second reader: recounts the export that `local --once` left on disk, without any of our code.

    recount.py DATA [--job FILE] [--source METADATA] [--export METADATA]

DATA/job.json is the finished job as GET answers it; DATA/s3/<bucket>/<key> are the objects. PyIceberg says which files
the tables' current snapshots name, DuckDB filters the source files, and the rows must be the exported ones, as a
multiset of whole records. Exit code 1 and the first differences where they are not.
"""

import argparse
import collections
import datetime
import decimal
import json
import pathlib
import sys

import duckdb
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import StaticTable

NEVER_COMPARED = {"batchId"}


class FolderIO(PyArrowFileIO):
    """Reads s3://bucket/key from the folder that the local object store keeps its buckets in."""

    def _local(self, location):
        return local_path(pathlib.Path(self.properties["folder"]), location)

    def new_input(self, location):
        return super().new_input(self._local(location))


def local_path(folder, location):
    scheme, separator, rest = location.partition("://")
    if not separator:
        return location
    return str(folder / rest) if scheme in ("s3", "s3a", "s3n") else rest


class Table:
    """A table at its current snapshot."""

    def __init__(self, folder, metadata):
        properties = {"py-io-impl": f"{__name__}.FolderIO", "folder": str(folder)}
        self.table = StaticTable.from_metadata(str(metadata), properties)
        self.folder = folder
        self.snapshot = self.table.current_snapshot()
        self.columns = [field.name for field in self.table.schema().fields]

    def files(self, batch=None):
        """Paths and record counts of the live data files, of one batch or of all."""
        files = []
        for manifest in self.snapshot.manifests(self.table.io) if self.snapshot else []:
            spec = self.table.specs()[manifest.partition_spec_id]
            names = [field.name for field in spec.fields]
            for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True):
                assert entry.status != ManifestEntryStatus.DELETED
                partition = dict(zip(names, [entry.data_file.partition[i] for i in range(len(names))]))
                if batch is None or partition.get("batchId") == batch:
                    files.append((local_path(self.folder, entry.data_file.file_path), entry.data_file.record_count))
        return files


def newest_metadata(folder):
    """The newest metadata file of every table below the folder. Names with a dot are the store's own notes."""
    newest = {}
    for path in folder.glob("**/metadata/*.metadata.json"):
        if path.name.startswith("."):
            continue
        metadata = json.loads(path.read_text())
        age = (metadata["last-sequence-number"], metadata["last-updated-ms"])
        newest[path.parent] = max(newest.get(path.parent, ((-1, -1), "")), (age, str(path)))
    return [path for _, path in sorted(newest.values(), key=lambda found: found[1])]


def only(what, found):
    if len(found) != 1:
        sys.exit(f"recount: {len(found)} tables look like the {what}; name one with --{what}")
    return found[0]


def matching(segments, window):
    """The filter as DuckDB's condition, with its parameters."""
    if not segments:
        return "true", []
    conditions, parameters = [], []
    for segment in segments:
        statuses = set(segment.get("status") or ["realized"])
        if "realized" in statuses:
            statuses.add("existing")
        namespaces = "map_entries(segmentMembership)"
        entry = (
            f"list_has_any(list_transform(list_filter(flatten(list_transform(list_filter({namespaces},"
            " lambda n: lower(n.key) = lower(?)), lambda n: map_entries(n.value))),"
            " lambda e: e.key = ?"
        )
        parameters += [segment.get("segmentNs") or "ups", segment["segmentId"]]
        for bound, operator in (("startTime", ">="), ("endTime", "<=")):
            if window.get(bound):
                entry += f" and coalesce(e.value.lastQualificationTime {operator} ?::timestamptz, false)"
                parameters.append(window[bound])
        conditions.append(entry + "), lambda e: e.value.status), ?)")
        parameters.append(sorted(statuses))
    return " or ".join(conditions), parameters


def rows(connection, files, condition="true", parameters=()):
    if not files:
        return []
    paths = [path for path, _ in files]
    query = f"select * from read_parquet(?, union_by_name = true, hive_partitioning = false) where {condition}"
    return connection.sql(query, params=[paths, *parameters]).to_arrow_table().to_pylist(maps_as_pydicts="strict")


def plain(value):
    """A value in one spelling: times in UTC, numbers without their width, absent and null the same."""
    if isinstance(value, dict):
        fields = ((name, plain(inner)) for name, inner in sorted(value.items()))
        return {name: inner for name, inner in fields if inner is not None} or None
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, (datetime.date, datetime.time)) else value


def wanted_paths(fields):
    """The paths of the job's `fields`; none = all. `identities` is the older `identityMap`, any key of it."""
    paths = [path.strip().split(".") for path in (fields or "").split(",") if path.strip()]
    for path in paths:
        if path[0] == "identities":
            path[:1] = ["identityMap", "*"] if path[1:] else ["identityMap"]
    return paths


def projected(value, paths):
    """What the paths keep of a value. A path goes on into every element of a list; `*` is any key of a map."""
    if value is None or any(not path for path in paths):
        return value
    if isinstance(value, list):
        return [projected(inner, paths) for inner in value]
    if not isinstance(value, dict):
        return None
    kept = {}
    for name, inner in value.items():
        tails = [path[1:] for path in paths if path[0] in (name, "*")]
        if tails:
            kept[name] = projected(inner, tails)
    return kept


def record(row, paths=None):
    kept = {name: value for name, value in row.items() if name not in NEVER_COMPARED}
    return json.dumps(plain(projected(kept, paths) if paths else kept) or {}, sort_keys=True)


def namespaces(exported):
    counts = collections.Counter()
    for row in exported:
        counts.update({namespace for namespace, ids in (row.get("identityMap") or {}).items() if ids})
    return dict(counts)


def differences(job, source, export):
    destination, job_filter = job["destination"], job.get("filter") or {}
    if destination.get("segmentPerBatch") or job_filter.get("fromIngestTimestamp") or job.get("additionalFields"):
        sys.exit("recount: knows one batch, segments, window and fields only")
    connection = duckdb.connect()
    condition, parameters = matching(job_filter.get("segments"), job_filter.get("segmentQualificationTime") or {})
    members = rows(connection, source.files(), condition, parameters)
    files = export.files(destination["batchId"])
    exported = rows(connection, files)
    metrics = job["metrics"]

    def differ(what, ours, theirs):
        if ours != theirs:
            yield f"{what}: counted {ours}, reported {theirs}"

    yield from differ("members", len(members), metrics["totalExportedProfileCounter"])
    yield from differ("exported rows", len(exported), metrics["totalExportedProfileCounter"])
    yield from differ("rows by the manifests", sum(count for _, count in files), len(exported))
    yield from differ("batch of the rows", {row["batchId"] for row in exported} - {destination["batchId"]}, set())
    paths = wanted_paths(job.get("fields"))
    if not paths or ["identityMap"] in paths:
        counted = namespaces(exported)
        yield from differ("profiles by namespace", counted, metrics.get("exportedProfileByNamespaceCounter"))
    own = collections.Counter(record(row, paths) for row in members)
    theirs = collections.Counter(record(row) for row in exported)
    for name, rest in (("missing", own - theirs), ("not a member", theirs - own)):
        if rest:
            yield f"{rest.total()} rows {name}, such as"
            yield from (f"  {line[:600]}" for line in sorted(rest)[:3])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=pathlib.Path, help="the folder given to local --data")
    arguments.add_argument("--job", type=pathlib.Path, help="the finished job; default DATA/job.json")
    arguments.add_argument("--source", help="metadata file of the profile table; default: found by its columns")
    arguments.add_argument("--export", help="metadata file of the export table; default: found by its columns")
    given = arguments.parse_args()
    job = json.loads((given.job or given.data / "job.json").read_text())
    if job["status"] != "SUCCEEDED":
        sys.exit(f"recount: the job is {job['status']}")
    folder = given.data / "s3"
    tables = [Table(folder, metadata) for metadata in newest_metadata(folder)]
    exports = [table for table in tables if "batchId" in table.columns]
    profiles = [table for table in tables if "batchId" not in table.columns and "segmentMembership" in table.columns]
    export = Table(folder, given.export) if given.export else only("export", exports)
    source = Table(folder, given.source) if given.source else only("source", profiles)
    found = list(differences(job, source, export))
    if found:
        sys.exit("recount: the export is not what the source holds\n" + "\n".join(found))
    print(f"recount: {job['metrics']['totalExportedProfileCounter']} rows, all equal to the source's")


if __name__ == "__main__":
    main()
