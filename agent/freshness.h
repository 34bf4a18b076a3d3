/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FRESHNESS_H
#define AGENT_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether what is held is proved to be what the fleet wants: a welcome that answers our newest
 * hello names it. So nobody can hold a newer manifest back unnoticed. No clock is asked: stale
 * means to keep running and to say so. Pure. Zero-initialised is ready to use.
 */
struct freshness_manifest {
    uint64_t epoch, version; /* version 0: none */
    uint8_t sha256[32];      /* of its signed body */
};

struct freshness {
    bool welcomed;                   /* since the agent started, by a director that still counts */
    uint64_t rooted;                 /* the root that replaced who had welcomed before; 0: none */
    uint64_t root_version;           /* as the newest welcome said */
    struct freshness_manifest named; /* the same */
    int64_t welcomed_ms;             /* the fleet's clock then, to show: ours may be wrong */
    int64_t proved_at_ms;            /* the same moment since boot */
    bool came_since;     /* what is held came from the fleet after that welcome, and is newer */
    bool imported;       /* it came from a file */
    int64_t fresh_ms;    /* as welcomed_ms, of the newest that named what is held; 0: none */
    int64_t fresh_at_ms; /* the same moment since boot */
};

/* What is held now. */
struct freshness_held {
    uint64_t root_version; /* in force */
    uint64_t root_seen;    /* the highest that ever was */
    struct freshness_manifest manifest;
    bool outdated;     /* it is not good under the root in force */
    const char *below; /* why it is older than what was accepted here; NULL, "": it is not */
    /* A newer one that the director signed and this terminal refused; version 0: none. */
    struct freshness_manifest refused;
    const char *refused_why;
    bool unanswered; /* there is a connection, and the hello that was said over it has no answer */
    int64_t now_ms;  /* since boot */
    int64_t expires_ms;  /* of it, 0: never */
    int64_t at_least_ms; /* true time is proved to be no earlier */
};

/* Hellos are said daily: a proof that is older has not been renewed, for whatever reason. */
enum { FRESHNESS_WHY_CHARS = 240, FRESHNESS_PROOF_MS = 36 * 3600 * 1000 };

/* A welcome that answers the newest hello. */
void freshness_welcomed(struct freshness *freshness, uint64_t root_version,
                        const struct freshness_manifest *named, int64_t fleet_ms, int64_t now_ms);
/* A root came into force that names another director: what the one before has proved counts no
 * more, for it may be a thief whom the root puts out. */
void freshness_rooted(struct freshness *freshness, uint64_t root_version);
/* Another manifest is held than before. */
void freshness_accepted(struct freshness *freshness, const struct freshness_manifest *held,
                        bool from_file);
/* Does the newest welcome speak of just this manifest? */
bool freshness_names(const struct freshness *freshness, const struct freshness_manifest *held);
/* Does the newest welcome speak of a newer manifest than this? */
bool freshness_behind(const struct freshness *freshness, const struct freshness_manifest *held);
/* "": what is held is proved fresh; else why it is not. */
void freshness_look(struct freshness *freshness, const struct freshness_held *held,
                    char ret_why[FRESHNESS_WHY_CHARS]);

#endif
