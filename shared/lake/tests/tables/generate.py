"""Writes, with PyIceberg, the tables that lie beside this script.

    python generate.py        (needs pyiceberg and pyarrow; table UUIDs, file names and times differ from run to run)

Each table is a folder that holds what lies under s3://lake/<folder>/ as PyIceberg left it, without superseded metadata
files, and expected.json: what PyIceberg itself says of the table. `src/tests/tables.rs` loads the folders into an object store in memory, under the same
locations, and compares.

There is no table with delete files: PyIceberg 0.12 writes copy-on-write only.
"""

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.transforms import BucketTransform, DayTransform
from pyiceberg.types import (
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

HERE = Path(__file__).parent
WAREHOUSE = "s3://lake/"


class FolderIO(PyArrowFileIO):
    """Files of the warehouse, in the folder of this script."""

    def new_input(self, location):
        return _named(super().new_input(str(_local(location))), location)

    def new_output(self, location):
        path = _local(location)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _named(super().new_output(str(path)), location)

    def delete(self, location):
        super().delete(str(_local(location)))


def _local(location):
    return HERE / location.removeprefix(WAREHOUSE)


def _named(file, location):
    """The local file under its name in the warehouse, which is what metadata refers to."""
    file._location = location
    return file


class OneTable(MetastoreCatalog):
    """A catalog that holds the one table that is being written, and does nothing else."""

    def _load_file_io(self, properties=None, location=None):
        return FolderIO()

    def create_table(self, identifier, schema, partition_spec):
        location = WAREHOUSE + identifier[1]
        self.table = self._create_staged_table(
            identifier, schema, location, partition_spec, properties={"format-version": "2"}
        )
        self._write_metadata(self.table.metadata, self.table.io, self.table.metadata_location)
        return self.load_table(identifier)

    def load_table(self, identifier):
        staged = self.table
        return Table(identifier, staged.metadata, staged.metadata_location, FolderIO(), self)

    def commit_table(self, table, requirements, updates):
        staged = self._update_and_stage_table(self.table, table.name(), requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self.table = staged
        return CommitTableResponse(metadata=staged.metadata, metadata_location=staged.metadata_location)


OneTable.__abstractmethods__ = frozenset()


def in_python(self, source, *_):
    """PyIceberg transforms Arrow arrays in an extension written in Rust; its own Python transforms do as well here."""
    transform = self.transform(source)

    def transformed(array):
        plain = array.cast(pa.int64()) if pa.types.is_timestamp(array.type) else array
        return pa.array([transform(value) for value in plain.to_pylist()], pa.int32())

    return transformed


BucketTransform.pyarrow_transform = in_python
DayTransform.pyarrow_transform = in_python


def profile(n, **more):
    at = datetime(2026, 3, 1, 12, n, tzinfo=timezone.utc)
    return {"profileId": f"p{n}", "ingestTime": at, **more}


def append(table, rows):
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


def evolved():
    """Bucketed profiles whose columns were added, renamed, moved, promoted and dropped between the appends."""
    person = StructType(
        NestedField(4, "name", StringType(), required=False),
        NestedField(5, "nick", StringType(), required=False),
    )
    schema = Schema(
        NestedField(1, "profileId", StringType(), required=True),
        NestedField(2, "age", IntegerType(), required=False),
        NestedField(3, "person", person, required=False),
        NestedField(6, "email", StringType(), required=False),
        NestedField(7, "ingestTime", TimestamptzType(), required=True),
        NestedField(8, "obsolete", StringType(), required=False),
    )
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "profileId_bucket"))
    table = OneTable("one").create_table(("lake", "evolved"), schema, spec)
    append(table, [
        profile(n, age=20 + n, person={"name": f"name {n}", "nick": f"nick {n}"}, email=f"{n}@a", obsolete="x")
        for n in range(6)
    ])
    with table.update_schema() as update:
        update.update_column("age", LongType())
        update.rename_column("email", "mail")
        update.rename_column("person.nick", "alias")
        update.delete_column("obsolete")
        update.add_column("tags", ListType(0, StringType(), element_required=False))
        update.add_column(("person", "city"), StringType())
        update.move_first("ingestTime")
        update.move_before(("person", "city"), ("person", "name"))
    append(table, [
        profile(n, age=2**40 + n, person={"city": "c", "name": f"name {n}", "alias": "a"}, mail=f"{n}@b", tags=["t", None])
        for n in range(4, 9)
    ])
    table.delete("profileId = 'p5' or profileId = 'p0'")
    tell(table)


def events():
    """Events partitioned by day before bucket."""
    schema = Schema(
        NestedField(1, "profileId", StringType(), required=True),
        NestedField(2, "timestamp", TimestamptzType(), required=True),
        NestedField(3, "ingestTime", TimestamptzType(), required=True),
        NestedField(4, "eventType", StringType(), required=False),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, DayTransform(), "timestamp_day"),
        PartitionField(1, 1001, BucketTransform(4), "profileId_bucket"),
    )
    table = OneTable("one").create_table(("lake", "events"), schema, spec)
    append(table, [
        profile(n, timestamp=datetime(2026, 3, 1 + n % 2, tzinfo=timezone.utc), eventType="view") for n in range(4)
    ])
    tell(table)


def tell(table):
    """What PyIceberg says of the table's live files, in order of location, and of its columns."""
    files = [
        {
            "location": file["file_path"],
            "bytes": file["file_size_in_bytes"],
            "rows": file["record_count"],
            "bucket": file["partition"]["profileId_bucket"],
        }
        for file in table.inspect.files().to_pylist()
    ]
    told = {
        "metadata": table.metadata_location,
        "columns": [[field.field_id, field.name, str(field.field_type)] for field in table.schema().fields],
        "files": sorted(files, key=lambda file: file["location"]),
    }
    for superseded in table.metadata.metadata_log:
        _local(superseded.metadata_file).unlink()
    (_local(table.location()) / "expected.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    for write in (evolved, events):
        shutil.rmtree(HERE / write.__name__, ignore_errors=True)
        write()
