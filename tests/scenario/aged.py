# SPDX-License-Identifier: Apache-2.0
"""A fleet database in which time has passed, or in which there is much; made while musterd is not running."""
import contextlib
import pathlib
import re
import sqlite3
import time

DAY_MS = 24 * 3600 * 1000
MIGRATION = pathlib.Path(__file__).resolve().parents[2] / "storage" / "sql" / "fleet" / "0017_rollups.sql"
SPANS = MIGRATION.parent / "0026_spans.sql"
SUM_UP = MIGRATION.parents[3] / "tests" / "world" / "sum_up.sql"
SUMS = {"rollup_code_minute": 60000, "rollup_code_hour": 3600000, "rollup_issuer_hour": 3600000,
        "rollup_entry_hour": 3600000, "rollup_software_hour": 3600000, "rollup_device_hour": 3600000}


@contextlib.contextmanager
def opened(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        yield database
        database.commit()


def time_passes(path, days):
    """All that there is becomes older."""
    with opened(path) as database:
        for table, columns in (("result", "received_ms at_ms wall_ms"), ("event", "received_ms at_ms wall_ms"),
                               ("health", "received_ms at_ms wall_ms"), ("audit", "at_ms"), ("feed", "at_ms"),
                               ("standing", "from_ms to_ms"), ("device_terminal", "from_ms to_ms")):
            for column in columns.split():
                database.execute(f"UPDATE {table} SET {column} = {column} - ?", (days * DAY_MS,))
        sums_go_back(database, days * 24)
        lay_out(database)


def sums_go_back(database, hours):
    for table, unit_ms in SUMS.items():
        buckets = hours * 3600000 // unit_ms
        if table == "rollup_device_hour":
            database.execute(f"UPDATE {table} SET bucket = bucket - ?", (buckets,))
        else:
            database.execute(f"UPDATE {table}_sum SET id = id - (? << 30)", (buckets,))
    database.execute("UPDATE rollup_key SET hour = hour - ?", (hours,))


def lay_out(database):
    """When results were, anew, from the rows."""
    database.execute("DELETE FROM result_span")
    database.execute(re.search(r"INSERT INTO result_span[^;]*;", SPANS.read_text())[0])


def sum_up(database):
    """All sums anew, from the rows."""
    database.executescript(SUM_UP.read_text())


def copies(path, count, apart_ms):
    """What there is becomes old, and so many results like it follow up to now, in the sums too."""
    with opened(path) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(result)")]
        first, = database.execute("SELECT max(id) FROM result").fetchone()
        own = {"incarnation": "incarnation + 1", "seq": "n", "at_ms": f"at_ms + n * {apart_ms}",
               "received_ms": f"received_ms + n * {apart_ms}", "idempotency_key": "x''"}
        database.execute("UPDATE result SET at_ms = at_ms - ?1, received_ms = received_ms - ?1", (count * apart_ms,))
        chosen = [name for name in names if name != "id"]
        database.execute(
            "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < ?)"
            f" INSERT INTO result ({', '.join(chosen)}) SELECT {', '.join(own.get(name, name) for name in chosen)}"
            " FROM t, result WHERE result.id = ?", (count, first))
        database.execute("INSERT INTO stream (device, incarnation, lane, cumulative, last_seq, first_ms, updated_ms) "
                         "SELECT device, incarnation + 1, 1, ?1, ?1, 0, 0 FROM result WHERE id = ?2", (count, first))
        database.execute("INSERT INTO result_run (device, incarnation, first_seq, last_seq, first_row) "
                         "SELECT device, incarnation + 1, 1, ?1, ?2 + 1 FROM result WHERE id = ?2", (count, first))
        lay_out(database)
        sum_up(database)


def sums_of(database, table):
    """In words, whatever numbers they have."""
    columns = ", ".join(row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "id")
    return database.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}").fetchall()


def check_sums(path):
    """What whole rows say and what whole sums say is the same, and each row is found by its time."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        whole = dict(database.execute("SELECT kind, whole_from_ms FROM kept"))
        for statement in re.findall(r"INSERT INTO (rollup_\w+) (SELECT[^;]*);", MIGRATION.read_text()):
            table, of_rows = statement
            unit = SUMS[table]
            since = max(whole.get("results", 0), whole.get("sums_minute" if unit == 60000 else "sums_hour", 0))
            rows = {row for row in database.execute(of_rows) if row[0] >= since / unit}
            sums = {row for row in sums_of(database, table) if row[0] >= since / unit}
            assert rows == sums, (table, rows ^ sums)
        found = ("SELECT r.id FROM result_span p JOIN result r ON r.id BETWEEN p.first_row AND p.last_row "
                 "AND r.at_ms / 900000 = p.bucket ORDER BY r.id")
        assert database.execute(found).fetchall() == database.execute("SELECT id FROM result ORDER BY id").fetchall()


# ---- of an earlier version ----

def older(path, batches, version=20):
    """A fleet database as musterd left it before results were known by runs: batches of 50 results, some missing,
    some late, others' between them. Returns how many there are."""
    scripts = sorted(MIGRATION.parent.glob("*.sql"))[:version]
    with opened(path) as database:
        for script in scripts[:2]:
            database.executescript(script.read_text())
        for device in (1, 2, 3):
            database.execute("INSERT INTO device (id, name, serial, model, life_cycle, enrolled_ms, updated_ms) "
                             "VALUES (?1, 't' || ?1, 's' || ?1, 'm', 'in_service', 1000, 1000)", (device,))
        columns = {name: {"TEXT": "''", "BLOB": "x''"}.get(kind, "0")
                   for _, name, kind, *_ in database.execute("PRAGMA table_info(result)")}
        del columns["id"]
        columns.update(device=":device", incarnation=":incarnation", seq=":seq", at_ms=":at_ms", received_ms=":at_ms",
                       terminal="1", outcome="2", code=":code", amount_minor=":seq", digest=":seq",
                       idempotency_key=":key", tvr="zeroblob(700)")  # as much as some results are
        insert = f"INSERT INTO result ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
        order = [(device, batch) for first in range(0, batches // 3, 4) for device in (1, 2, 3)
                 for batch in range(first, first + 4)]
        for i in range(5, len(order), 11):
            order[i - 5], order[i] = order[i], order[i - 5]
        held = [(device, batch) for device, batch in order if (device + batch) % 7]
        now_ms = int(time.time() * 1000)
        rows = [{"device": device, "incarnation": (-7, 9)[batch % 40 < 20], "seq": batch * 50 + n, "code": ("57", "05")[n % 2],
                 "at_ms": now_ms - (batches - batch) * 60000 + n, "key": b"%d %d %d" % (device, batch, n)}
                for device, batch in held for n in range(1, 51)]
        database.executemany(insert, rows)
        for script in scripts[2:]:
            database.executescript(script.read_text())
        database.executemany(  # sent under another id too
            "INSERT INTO result_duplicate (device, incarnation, seq, digest, original, received_ms) "
            "VALUES (?, 9, ?, 5, ?, 0)", [(device, batch * 50 + 1, batch) for device, batch in order if (device + batch) % 7 == 0])
        database.executescript(f"PRAGMA user_version = {version}; PRAGMA application_id = 0x4d736644")
    return len(rows)


def runs_of(rows):
    """(device, incarnation, first_seq, last_seq, first_row) of (id, device, incarnation, seq)."""
    runs = []
    for row, device, incarnation, seq in sorted(rows, key=lambda row: row[1:]):
        last = runs[-1] if runs else None
        if last and (device, incarnation, seq - last[3], row - last[4]) == (*last[:2], 1, seq - last[2]):
            last[3] = seq
        else:
            runs.append([device, incarnation, seq, seq, row])
    return [tuple(run) for run in runs]
