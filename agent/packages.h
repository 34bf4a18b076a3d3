/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PACKAGES_H
#define AGENT_PACKAGES_H

#include "proto/package.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.pb-c.h"
#include "storage/registry.h"

/*
 * Applications and firmware: what is in force is handed to the installer, once, and what the
 * terminal then says that it runs is the answer. Nothing is handed over before the terminal was
 * asked, so a power cut leads to a question and never to a second installation on a guess. Pure;
 * times are powered-on time.
 */
enum {
    PACKAGES_MAX = 16,  /* of one manifest that are looked at */
    PACKAGES_ROWS = 32, /* remembered, with those that were refused */
    PACKAGE_WHY_CHARS = 200,
    PACKAGE_HANDINGS = 2, /* so often the power may go while it is handed over */
};

/* One package in force, or one that is somebody else's to install. */
struct package_wanted {
    char name[REGISTRY_NAME_CHARS + 1];
    Muster__DocumentKind kind;
    Muster__AssignMode mode; /* REPAIR: it is in force; else only what runs is compared */
    uint8_t sha256[32];
    char package_version[PACKAGE_VERSION_CHARS + 1];
    char model[PACKAGE_MODEL_CHARS + 1]; /* "": any */
};

enum package_step {
    PACKAGE_NEW,     /* nothing was done; in the book: it waits for its gate */
    PACKAGE_HANDING, /* marked before the installer runs: whether it has done it, only the version
                        says */
    PACKAGE_HANDED,  /* the installer said that it has taken it */
    PACKAGE_DONE,    /* it ran */
    PACKAGE_REFUSED, /* not handed over again unchanged */
};

/* What is remembered of one, over restarts. */
struct package_row {
    char name[REGISTRY_NAME_CHARS + 1];
    uint8_t sha256[32];
    char package_version[PACKAGE_VERSION_CHARS + 1];
    enum package_step step;
    Muster__Refusal refusal;
    unsigned handings;   /* begun */
    uint8_t boot_id[16]; /* of the two times below */
    int64_t age_ms;      /* since it was handed over, or began to wait, as of */
    int64_t kept_ms;     /* this time since boot */
    uint8_t told[32];    /* hash of what the fleet was told last */
    char why[PACKAGE_WHY_CHARS + 1];
};

/* What the terminal says now. */
struct package_facts {
    const char *running; /* its version; "": it could not be asked */
    const char *trouble; /* why it could not */
    const char *model;   /* the terminal's */
    const uint8_t *boot_id;
    int64_t now_ms;   /* since boot */
    int64_t limit_ms; /* of powered-on time from handing over until the version must run */
};

enum package_todo {
    PACKAGE_REST,      /* done, refused, or not to be judged now */
    PACKAGE_WAIT,      /* it was handed over: ask again soon */
    PACKAGE_HAND_OVER, /* when the gate is open */
};

struct package_verdict {
    enum package_todo todo;
    enum package_step step; /* the row's from now on */
    Muster__Refusal refusal;
    char why[PACKAGE_WHY_CHARS + 1]; /* "": it runs */
};

/* The same for those of one name, version and content. */
void package_wanted_digest(const struct package_wanted *wanted, uint8_t ret_digest[32]);
bool package_same(const struct package_row *row, const struct package_wanted *wanted);
/* Since it was handed over; of PACKAGE_NEW: since it began to wait. */
int64_t package_age(const struct package_row *row, const uint8_t boot_id[16], int64_t now_ms);
/* `row`: a new one has step PACKAGE_NEW. */
void package_judge(const struct package_wanted *wanted, const struct package_row *row,
                   const struct package_facts *facts, struct package_verdict *ret_verdict);
/* The first line that a version hook prints; false: it is no version. */
bool package_running(const char *output, char ret_running[PACKAGE_VERSION_CHARS + 1]);

#endif
