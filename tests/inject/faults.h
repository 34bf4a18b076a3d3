/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INJECT_FAULTS_H
#define TESTS_INJECT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Every operation of the code under test that can fail from outside has a number, counted for each
 * kind of operation from the start of a run. A plan lets one of them fail, once or from there on.
 * Only what the code under test does while faults_on holds is counted; one thread.
 */
enum fault_op {
    /* SQLite's, by its VFS (fault_vfs.c) */
    FAULT_DB_OPEN,
    FAULT_DB_READ,
    FAULT_DB_WRITE,
    FAULT_DB_TRUNCATE,
    FAULT_DB_SYNC,
    FAULT_DB_DELETE,
    FAULT_DB_LOCK,
    FAULT_DB_SHM,
    /* base/file_effects.h (fault_effects.c) */
    FAULT_CREATE,
    FAULT_WRITE,
    FAULT_PATCH,
    FAULT_CHMOD,
    FAULT_SYNC,
    FAULT_RENAME,
    FAULT_LINK,
    FAULT_SYMLINK,
    FAULT_UNLINK,
    FAULT_MKDIR,
    /* fault_memory.c */
    FAULT_MALLOC,    /* of our code */
    FAULT_DB_MALLOC, /* of SQLite */
    FAULT_OPS,
};

enum fault_kind {
    FAULT_EIO,
    FAULT_NOSPC,
    FAULT_SHORT, /* half of it is written, then the disk is full */
    FAULT_NULL,
    FAULT_KINDS,
};

struct fault {
    enum fault_op op;
    unsigned number; /* from 1; 0: none, count only */
    enum fault_kind kind;
    bool onward; /* from there on; a disk that is full is so for writes of all sorts */
};

const char *fault_op_name(enum fault_op op);
const char *fault_kind_name(enum fault_kind kind);
/* Whether an operation of this sort can fail in this way. */
bool fault_possible(enum fault_op op, enum fault_kind kind);

/* A new run: counts start over, nothing is on yet. */
void faults_plan(const struct fault *fault);
const struct fault *faults_planned(void);
/* Around the code under test. Test code that it calls back switches off, and on again. */
void faults_on(void);
void faults_off(void);
/* The device has room and works again; nothing is counted any more. */
void faults_end(void);
unsigned faults_count(enum fault_op op);
unsigned faults_struck(void);          /* operations that were made to fail in this run */
unsigned faults_db_syncs_struck(void); /* of those, SQLite's syncs */

/* For the seams: counts the operation; true when it is to fail, with errno set. */
bool fault_strikes(enum fault_op op, enum fault_kind *ret_kind);

/* Installs the seams under SQLite; before its first use. */
void fault_vfs_install(void);
void fault_memory_install(void);
/* What the wrapped functions have given and not got back, and SQLite's bytes. */
long fault_memory_live(void);

/* Evaluates the call with faults on. */
#define UNDER_FAULTS(call) (faults_on(), under_faults_end(call))
static inline bool under_faults_end(bool value)
{
    faults_off();
    return value;
}

#endif
