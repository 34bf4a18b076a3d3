/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/oracle/oracle_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const char *const oracle_sql[];

enum {
    SQL_FACTS,
    SQL_JUDGE,
    SQL_DRAW,
    SQL_FLEET,
    SQL_FLEET_ACCOUNT,
    SQL_FLEET_SUMS,
    SQL_FLEET_TYPES
};

bool oracle_sql_fail(struct oracle *oracle, const char *what, struct err *err)
{
    return err_set(err, ERR_IO, "oracle: %s: %s", what, sqlite3_errmsg(oracle->db));
}

bool oracle_exec(struct oracle *oracle, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(oracle->db, sql, NULL, NULL, NULL) == SQLITE_OK ||
           oracle_sql_fail(oracle, what, err);
}

bool oracle_prepare(struct oracle *oracle, const char *sql, sqlite3_stmt **ret_statement,
                    struct err *err)
{
    return sqlite3_prepare_v2(oracle->db, sql, -1, ret_statement, NULL) == SQLITE_OK ||
           oracle_sql_fail(oracle, sql, err);
}

bool oracle_step(struct oracle *oracle, sqlite3_stmt *statement, struct err *err)
{
    int code = sqlite3_step(statement);
    bool ok = code == SQLITE_DONE || oracle_sql_fail(oracle, sqlite3_sql(statement), err);
    (void)sqlite3_reset(statement);
    return ok;
}

bool oracle_open(struct oracle **ret_oracle, struct err *err)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    if (oracle == NULL)
        return err_set(err, ERR_NO_MEMORY, "oracle: no memory");
    bool ok = (sqlite3_open_v2(":memory:", &oracle->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                               NULL) == SQLITE_OK ||
               oracle_sql_fail(oracle, "cannot open", err)) &&
              oracle_exec(oracle, oracle_sql[SQL_FACTS], "facts.sql", err) &&
              oracle_exec(oracle, oracle_sql[SQL_JUDGE], "judge.sql", err);
    if (!ok) {
        oracle_close(oracle);
        return false;
    }
    /* What is attached is read as it was left: its WAL stays, and is not worked into it. */
    (void)sqlite3_db_config(oracle->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    *ret_oracle = oracle;
    return true;
}

void oracle_close(struct oracle *oracle)
{
    if (oracle == NULL)
        return;
    (void)sqlite3_close(oracle->db);
    free(oracle);
}

/* ---- what is told ---- */

bool oracle_submitted(struct oracle *oracle, const struct oracle_result *result, struct err *err)
{
    sqlite3_stmt *insert = NULL;
    if (!oracle_prepare(oracle, "INSERT OR IGNORE INTO submitted VALUES (?, ?, ?, ?, ?)", &insert,
                        err))
        return false;
    (void)sqlite3_bind_text(insert, 1, result->device, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(insert, 2, result->key.data, (int)result->key.length, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 3, result->stan);
    (void)sqlite3_bind_int64(insert, 4, (int64_t)result->amount_minor);
    (void)sqlite3_bind_text(insert, 5, result->code != NULL ? result->code : "", -1, SQLITE_STATIC);
    bool ok = oracle_step(oracle, insert, err);
    (void)sqlite3_finalize(insert);
    return ok;
}

bool oracle_answered(struct oracle *oracle, const char *device, struct bytes key,
                     uint64_t incarnation, uint64_t seq, struct err *err)
{
    sqlite3_stmt *insert = NULL;
    if (!oracle_prepare(oracle, "INSERT OR IGNORE INTO answered VALUES (?, ?, ?, ?)", &insert, err))
        return false;
    (void)sqlite3_bind_text(insert, 1, device, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(insert, 2, key.data, (int)key.length, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 3, (int64_t)incarnation);
    (void)sqlite3_bind_int64(insert, 4, (int64_t)seq);
    bool ok = oracle_step(oracle, insert, err);
    (void)sqlite3_finalize(insert);
    return ok;
}

bool oracle_arrived(struct oracle *oracle, const char *device, uint64_t incarnation, int lane,
                    uint64_t first, uint64_t last, struct err *err)
{
    sqlite3_stmt *insert = NULL;
    if (!oracle_prepare(oracle, "INSERT INTO arrived VALUES (?, ?, ?, ?, ?)", &insert, err))
        return false;
    (void)sqlite3_bind_text(insert, 1, device, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 2, (int64_t)incarnation);
    (void)sqlite3_bind_int(insert, 3, lane);
    (void)sqlite3_bind_int64(insert, 4, (int64_t)first);
    (void)sqlite3_bind_int64(insert, 5, (int64_t)last);
    bool ok = oracle_step(oracle, insert, err);
    (void)sqlite3_finalize(insert);
    return ok;
}

static bool take_key(const char *text, uint8_t key[32], struct bytes *ret_key)
{
    size_t length = strlen(text);
    *ret_key = bytes_of(key, length / 2);
    return length > 0 && length <= 64 && hex_decode(text, length, key, length / 2);
}

static bool load_line(struct oracle *oracle, const char *line, struct err *err)
{
    char device[33], key_text[65], code[17];
    uint8_t key_bytes[32];
    unsigned long long first = 0, second = 0;
    struct bytes key;
    if (sscanf(line, "s %32s %64s %llu %llu %16s", device, key_text, &first, &second, code) == 5 &&
        take_key(key_text, key_bytes, &key)) {
        const struct oracle_result result = {device, key, (uint32_t)first, second,
                                             strcmp(code, "-") == 0 ? "" : code};
        return oracle_submitted(oracle, &result, err);
    }
    if (sscanf(line, "a %32s %64s %llx %llu", device, key_text, &first, &second) == 4 &&
        take_key(key_text, key_bytes, &key))
        return oracle_answered(oracle, device, key, first, second, err);
    return err_set(err, ERR_INVALID, "not a line of the oracle's log: %.80s", line);
}

bool oracle_load(struct oracle *oracle, const char *log_path, struct err *err)
{
    FILE *file = fopen(log_path, "re");
    if (file == NULL)
        return err_errno(err, errno, "%s: cannot open", log_path);
    char *line = NULL;
    size_t size = 0, number = 0;
    bool ok = oracle_exec(oracle, "BEGIN", "begin", err);
    while (ok && getline(&line, &size, file) > 0) {
        number++;
        ok = load_line(oracle, line, err) || err_context(err, "%s:%zu", log_path, number);
    }
    ok = ok && oracle_exec(oracle, "COMMIT", "commit", err);
    free(line);
    (void)fclose(file);
    return ok;
}

/* ---- what is read ---- */

static bool attach(struct oracle *oracle, const char *path, bool alone, struct err *err)
{
    if (access(path, F_OK) != 0) /* attaching would make it */
        return err_errno(err, errno, "%s: cannot open", path);
    sqlite3_stmt *statement = NULL;
    if (!oracle_prepare(oracle, "ATTACH ? AS place", &statement, err))
        return false;
    (void)sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    bool ok = oracle_step(oracle, statement, err) || err_context(err, "%s", path);
    (void)sqlite3_finalize(statement);
    /* A spool has no file of shared memory, and gets none by being read. */
    return ok && (!alone || oracle_exec(oracle, "PRAGMA place.locking_mode=EXCLUSIVE", path, err));
}

static bool read_fleet(struct oracle *oracle, const char *path, struct err *err)
{
    if (!attach(oracle, path, false, err))
        return false;
    bool ok = oracle_exec(oracle, "BEGIN", path, err) &&
              oracle_exec(oracle, oracle_sql[SQL_FLEET], path, err) &&
              oracle_exec(oracle, oracle_sql[SQL_FLEET_ACCOUNT], path, err) &&
              oracle_exec(oracle, oracle_sql[SQL_FLEET_SUMS], path, err) &&
              oracle_exec(oracle, oracle_sql[SQL_FLEET_TYPES], path, err);
    (void)sqlite3_exec(oracle->db, "COMMIT", NULL, NULL, NULL);
    return oracle_exec(oracle, "DETACH place", path, ok ? err : NULL) && ok;
}

static bool read_spool(struct oracle *oracle, const struct oracle_spool *spool, struct err *err)
{
    if (!attach(oracle, spool->path, true, err))
        return false;
    bool ok = oracle_exec(oracle, "BEGIN", spool->path, err) &&
              (oracle_read_spool(oracle, spool, err) || err_context(err, "%s", spool->path));
    (void)sqlite3_exec(oracle->db, "COMMIT", NULL, NULL, NULL);
    return oracle_exec(oracle, "DETACH place", spool->path, ok ? err : NULL) && ok;
}

bool oracle_check(struct oracle *oracle, const struct oracle_places *places,
                  struct oracle_report *ret_report, struct err *err)
{
    static const char forget[] =
        "DELETE FROM spool; DELETE FROM spool_stream; DELETE FROM held; DELETE FROM damaged;"
        "DELETE FROM acked; DELETE FROM result; DELETE FROM stored; DELETE FROM fleet_stream;"
        "DELETE FROM committed; DELETE FROM lost; DELETE FROM closed; DELETE FROM counted;"
        "DELETE FROM total; DELETE FROM given; DELETE FROM edge; DELETE FROM unsummed;"
        "DELETE FROM untyped;";
    struct oracle_report report = {0};
    if (!oracle_exec(oracle, forget, "forget", err))
        return false;
    for (size_t i = 0; i < places->spool_count; i++) {
        if (!read_spool(oracle, &places->spools[i], err))
            return false;
    }
    if (places->fleet_path != NULL && !read_fleet(oracle, places->fleet_path, err))
        return false;
    if (!oracle_exec(oracle, "BEGIN", "draw.sql", err) ||
        !oracle_exec(oracle, oracle_sql[SQL_DRAW], "draw.sql", err) ||
        !oracle_exec(oracle, "COMMIT", "draw.sql", err) || !oracle_judge(oracle, &report, err))
        return false;
    *ret_report = report;
    return true;
}
