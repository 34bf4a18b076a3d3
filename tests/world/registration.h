/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_REGISTRATION_H
#define TESTS_WORLD_REGISTRATION_H

#include "tests/world/tables.h"

#include <sys/stat.h>

/*
 * What the payment application knows of cards and hosts: the documents that the agent applied,
 * read from the folder that the agent named when the sale began or, if it could not be asked, from
 * <registry>/current: the directory that it points to. So it is never a mix of two generations; it
 * is read again when that folder or one of its files changes. What cannot be read leaves the last
 * good one in force.
 */
struct registration_ids {
    char tid[9], mid[16]; /* empty: this host is not for this terminal */
};

struct registration_params { /* document params.<device>, INI */
    int64_t default_route;   /* where a card goes that the table does not know */
    int64_t code_profile;    /* version of the code table in use */
    int64_t batch;           /* number of the open batch */
    struct registration_ids hosts[TABLES_MAX_ROUTE];
};

enum { REGISTRATION_DOCUMENTS = 4 };

struct registration {
    struct ranges ranges;   /* document bin-routing */
    struct aids aids;       /* document aid-list */
    struct ca_keys ca_keys; /* document ca-keys */
    struct registration_params params;

    /* Where it was read from. */
    char directory[512];
    struct stat files[REGISTRATION_DOCUMENTS];
};

/* Reads again if anything changed; `folder`: of the generation to read, "": whatever is in force.
 * False: the newest could not be read; `registration` is as it was, which may be empty (no ranges).
 */
bool registration_refresh(struct registration *registration, const char *registry,
                          const char *folder, const char *params_name,
                          struct err *err) MUSTER_CHECK;
void registration_done(struct registration *registration);

#endif
