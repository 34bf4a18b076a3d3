/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/inject/faults.h"

#include <errno.h>
#include <string.h>

static struct {
    struct fault fault;
    bool on, ended;
    unsigned counts[FAULT_OPS];
    unsigned struck, db_syncs_struck;
} faults;

static const char *const op_names[FAULT_OPS] = {
    [FAULT_DB_OPEN] = "db_open",   [FAULT_DB_READ] = "db_read",
    [FAULT_DB_WRITE] = "db_write", [FAULT_DB_TRUNCATE] = "db_truncate",
    [FAULT_DB_SYNC] = "db_sync",   [FAULT_DB_DELETE] = "db_delete",
    [FAULT_DB_LOCK] = "db_lock",   [FAULT_DB_SHM] = "db_shm",
    [FAULT_CREATE] = "create",     [FAULT_WRITE] = "write",
    [FAULT_PATCH] = "patch",       [FAULT_CHMOD] = "chmod",
    [FAULT_SYNC] = "sync",         [FAULT_RENAME] = "rename",
    [FAULT_LINK] = "link",         [FAULT_SYMLINK] = "symlink",
    [FAULT_UNLINK] = "unlink",     [FAULT_MKDIR] = "mkdir",
    [FAULT_MALLOC] = "malloc",     [FAULT_DB_MALLOC] = "db_malloc",
};

const char *fault_op_name(enum fault_op op)
{
    return op_names[op];
}

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[FAULT_KINDS] = {"EIO", "ENOSPC", "short", "NULL"};
    return names[kind];
}

static bool is_malloc(enum fault_op op)
{
    return op == FAULT_MALLOC || op == FAULT_DB_MALLOC;
}

static bool is_sync(enum fault_op op)
{
    return op == FAULT_SYNC || op == FAULT_DB_SYNC;
}

static bool is_write(enum fault_op op)
{
    return op == FAULT_DB_WRITE || op == FAULT_WRITE;
}

static bool takes_space(enum fault_op op)
{
    return is_write(op) || op == FAULT_CREATE || op == FAULT_LINK || op == FAULT_SYMLINK ||
           op == FAULT_MKDIR || op == FAULT_RENAME || op == FAULT_DB_OPEN;
}

bool fault_possible(enum fault_op op, enum fault_kind kind)
{
    switch (kind) {
    case FAULT_EIO:
        return !is_malloc(op);
    case FAULT_NOSPC:
        return takes_space(op) && op != FAULT_DB_OPEN;
    case FAULT_SHORT:
        return is_write(op) || op == FAULT_PATCH;
    default:
        return is_malloc(op);
    }
}

void faults_plan(const struct fault *fault)
{
    memset(&faults, 0, sizeof faults);
    faults.fault = *fault;
}

const struct fault *faults_planned(void)
{
    return &faults.fault;
}

void faults_on(void)
{
    faults.on = true;
}

void faults_off(void)
{
    faults.on = false;
}

void faults_end(void)
{
    faults.ended = true;
}

unsigned faults_count(enum fault_op op)
{
    return faults.counts[op];
}

unsigned faults_struck(void)
{
    return faults.struck;
}

unsigned faults_db_syncs_struck(void)
{
    return faults.db_syncs_struck;
}

/* What else fails while that fault lasts. */
static bool shares_cause(const struct fault *fault, enum fault_op op)
{
    if (op == fault->op)
        return true;
    if (is_malloc(fault->op))
        return is_malloc(op);
    if (is_sync(fault->op))
        return is_sync(op);
    return fault->kind != FAULT_EIO && takes_space(fault->op) && is_write(op);
}

bool fault_strikes(enum fault_op op, enum fault_kind *ret_kind)
{
    const struct fault *fault = &faults.fault;
    if (!faults.on || faults.ended)
        return false;
    unsigned number = ++faults.counts[op];
    if (fault->number == 0)
        return false;
    bool first = op == fault->op && number == fault->number;
    bool later = fault->onward && faults.struck > 0 && shares_cause(fault, op);
    if (!first && !later)
        return false;
    faults.struck++;
    faults.db_syncs_struck += op == FAULT_DB_SYNC ? 1 : 0;
    *ret_kind = fault->kind;
    errno = fault->kind == FAULT_NULL ? ENOMEM : fault->kind == FAULT_EIO ? EIO : ENOSPC;
    return true;
}
