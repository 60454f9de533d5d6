"""The tables of a run as pandas frames, for notebooks and scripts of one's own.

from pytest_ortperf.reports.tables.frames import read_tables
read_tables("result")["success"].sort_values("latency_p50_ms")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ortperf.records.packed_numbers import as_array
from pytest_ortperf.records.store import find_run, read_run
from pytest_ortperf.reports.tables.csv_tables import TABLES
from pytest_ortperf.reports.tables.rows import sorted_rows

if TYPE_CHECKING:
    import pandas as pd


def read_tables(results: str | Path) -> dict[str, pd.DataFrame]:
    """Return each table of a run, by the name it has as a CSV file: `success`, `fail`, `op_metrics`, ...

    They are built from the records, so that texts are whole and numbers keep their types; an absent value is missing.

    Args:
        results: A records file, or a results folder, of which the latest run is taken.

    Raises:
        ResultsFileError: If there is no records file, or it cannot be read.
    """
    import pandas as pd

    rows = sorted_rows(read_run(find_run(Path(results))))
    frames = {}
    for name, build in TABLES.items():
        columns, cells = build(rows)
        frames[name] = pd.DataFrame.from_records([dict(row) for row in cells], columns=list(columns)).convert_dtypes()
    return frames


def read_samples(results: str | Path) -> pd.DataFrame:
    """Return the time of each timed iteration of a run: columns `case_id`, `timing`, `iteration` (from 0), `ns`.

    Args:
        results: As for `read_tables`.

    Raises:
        ResultsFileError: As `read_tables`.
    """
    import pandas as pd

    run = read_run(find_run(Path(results)))
    parts = [
        pd.DataFrame(
            {"case_id": record.case_id, "timing": latency.label, "ns": as_array(latency.samples_ns)},
        )
        .rename_axis("iteration")
        .reset_index()
        for record in run.records
        for latency in record.latencies
        if latency.samples_ns
    ]
    columns = ["case_id", "timing", "iteration", "ns"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
