"""The tables of a history.

Kept as they came: `source_run`, `record`, `acceptance`, `triage`. These never change. All others are made from them
again when `SCHEMA` is another number than the database says, so there are no migrations.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA = 2
"""Of the derived tables and of how they are filled. 1: the first. 2: views of the original's tables, change points."""

kept = MetaData()
"""Those that are never made again."""

derived = MetaData()
"""Ids of cases and series are hashes of what they are: the same in every database, and after each rebuild."""

META = Table("meta", kept, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

SOURCE_RUN = Table(
    "source_run",
    kept,
    Column("id", Integer, primary_key=True),  # the order of adding
    Column("key", Text, nullable=False, unique=True),  # hash of the header: the same run is there once
    Column("kind", Text, nullable=False),  # records, script
    Column("run", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("source", Text),  # file or folder it was read from
    Column("labels", Text, nullable=False),  # JSON: given when it was added
    sqlite_autoincrement=True,
)

RECORD = Table(
    "record",
    kept,
    Column("run", Integer, ForeignKey(SOURCE_RUN.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),  # of the line, from 1
    Column("data", LargeBinary, nullable=False),  # zlib
    sqlite_with_rowid=False,
)

ACCEPTANCE = Table(
    "acceptance",
    kept,
    Column("run", Integer, ForeignKey(SOURCE_RUN.c.id), primary_key=True),
    Column("accepted_at", Text, nullable=False),
    Column("accepted_by", Text),
    Column("why", Text),
)

TRIAGE = Table(
    "triage",
    kept,
    Column("lineage", BigInteger, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),  # confirmed, expected, fixed
    Column("changed_at", Text, nullable=False),
    Column("changed_by", Text),
    Column("why", Text),
)

RUN = Table(
    "run",
    derived,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", Text, nullable=False),  # sorts runs as they were made, however the clock went
    Column("run", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("started", Text, nullable=False),
    Column("branch", Text),
    Column("commit_id", Text),
    Column("commit_date", Text),
    Column("identifier", Text),
    Column("groups", Text, nullable=False),  # JSON list
    Column("labels", Text, nullable=False),  # JSON
    Column("options", Text, nullable=False),  # JSON
    Column("host", Text),
    Column("machine", Text),
    Column("device", Text),
    Column("onnxruntime", Text),
    Column("complete", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("cases", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("deselected", Text, nullable=False),  # JSON list of node ids
    Column("notes", Text, nullable=False),  # JSON list
    Column("digest", Text, nullable=False),
    Column("source", Text),
    Column("url", Text),
    Index("run_by_branch", "branch", "machine", "position"),
)

TEST_CASE = Table(
    "test_case",
    derived,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("nodeid", Text, nullable=False),
    Column("list", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_hash", Text),
    Column("mode", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("precision", Text),
    Column("dims", Text, nullable=False),  # batch=8,seq=128
    Column("settings", Text, nullable=False),  # of the session, where they are not the defaults
    Column("group_name", Text),
    Column("machine", Text),
    Column("device", Text),
)

SERIES = Table(
    "series",
    derived,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("test_case", BigInteger, nullable=False, index=True),
    Column("lineage", BigInteger, nullable=False),  # the same for every content of the model
    Column("timing", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("unit", Text, nullable=False),
)

POINT = Table(
    "point",
    derived,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("n", Integer),
    Column("flags", Text),
    Index("point_by_series", "series", "run"),
    sqlite_with_rowid=False,
)

OUTCOME = Table(
    "outcome",
    derived,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the record's line
    Column("test_case", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("kind", Text),
    Column("text", Text),
    sqlite_with_rowid=False,
)

CHANGE_POINT = Table(
    "change_point",
    derived,
    Column("lineage", BigInteger, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),  # the first with the new level
    Column("series", BigInteger, nullable=False),  # of that run's point
    Column("run_before", Integer, nullable=False),  # the last with the old level
    Column("before", Double, nullable=False),  # medians, less what all series of a run have in common
    Column("after", Double, nullable=False),
    Column("noise", Double, nullable=False),  # relative
    Column("p_value", Double, nullable=False),
)

ANALYSED = Table(
    "analysed",
    derived,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),  # of the run when change points were looked for
)

SCRIPT_RESULT = Table(
    "script_result",
    derived,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("group_name", Text),
    Column("mean_ms", Double),
    Column("memory_mib", Double),
    Column("session_s", Double),
    Column("second_session_s", Double),
    Column("status", Text),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("op_share", Double),
    sqlite_with_rowid=False,
)

SCRIPT_SPEC = Table(
    "script_spec",
    derived,
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("spec", Text, nullable=False),
    Column("version", Text),
)

RETIRED: tuple[str, ...] = ()
"""Derived tables of earlier schemas that no longer exist."""
