/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/freshness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_newer(const struct freshness_manifest *a, const struct freshness_manifest *b)
{
    return a->epoch > b->epoch || (a->epoch == b->epoch && a->version > b->version);
}

static bool is_same(const struct freshness_manifest *a, const struct freshness_manifest *b)
{
    return a->version == b->version &&
           (a->version == 0 || (a->epoch == b->epoch && memcmp(a->sha256, b->sha256, 32) == 0));
}

void freshness_welcomed(struct freshness *freshness, uint64_t root_version,
                        const struct freshness_manifest *named, int64_t fleet_ms, int64_t now_ms)
{
    freshness->welcomed = true;
    freshness->rooted = 0;
    freshness->root_version = root_version;
    freshness->named = *named;
    freshness->welcomed_ms = fleet_ms;
    freshness->proved_at_ms = now_ms;
    freshness->came_since = false;
}

void freshness_rooted(struct freshness *freshness, uint64_t root_version)
{
    freshness->rooted = root_version;
    freshness->welcomed = false;
    freshness->root_version = 0;
    freshness->named = (struct freshness_manifest){0};
    freshness->came_since = false;
}

void freshness_accepted(struct freshness *freshness, const struct freshness_manifest *held,
                        bool from_file)
{
    freshness->imported = from_file;
    /* What the director sent after it proved what it wanted is at least as new as that. */
    freshness->came_since = !from_file && freshness->welcomed && is_newer(held, &freshness->named);
}

bool freshness_names(const struct freshness *freshness, const struct freshness_manifest *held)
{
    return freshness->welcomed && is_same(&freshness->named, held);
}

bool freshness_behind(const struct freshness *freshness, const struct freshness_manifest *held)
{
    return freshness->welcomed && is_newer(&freshness->named, held);
}

static void say(char why[FRESHNESS_WHY_CHARS], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(char why[FRESHNESS_WHY_CHARS], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(why, FRESHNESS_WHY_CHARS, fmt, args);
    va_end(args);
}

static void look_at_root(const struct freshness *freshness, const struct freshness_held *held,
                         char why[FRESHNESS_WHY_CHARS])
{
    if (held->root_version < held->root_seen)
        say(why,
            "root %" PRIu64 " was in force here and only %" PRIu64
            " is left; waiting for it to come again",
            held->root_seen, held->root_version);
    else if (freshness->welcomed && freshness->root_version > held->root_version)
        say(why,
            "the fleet is at root %" PRIu64 ", this terminal at %" PRIu64 ", and it has not come",
            freshness->root_version, held->root_version);
    else if (held->below != NULL && held->below[0] != '\0')
        say(why, "the manifest kept here is not used: %s; waiting for the newest", held->below);
    else if (held->outdated)
        say(why, "the manifest held is not good under root %" PRIu64 "; waiting for one that is",
            held->root_version);
}

static void look_at_manifest(const struct freshness *freshness, const struct freshness_held *held,
                             char why[FRESHNESS_WHY_CHARS])
{
    const struct freshness_manifest *named = &freshness->named, *manifest = &held->manifest;
    if (!freshness->welcomed && freshness->rooted != 0)
        say(why, "root %" PRIu64 " names another director, which has not welcomed us yet",
            freshness->rooted);
    else if (!freshness->welcomed)
        say(why, freshness->imported
                     ? "the manifest held came from a file, and no welcome has named it yet"
                     : "no welcome yet since the agent started");
    else if (is_same(named, manifest) || freshness->came_since)
        return;
    else if (freshness->root_version == 0)
        say(why, "the fleet does not say which manifest it wants");
    else if (named->version == 0)
        say(why, "the fleet speaks of no manifest, this terminal holds %" PRIu64,
            manifest->version);
    else if (manifest->version == 0)
        say(why, "the fleet speaks of manifest %" PRIu64 ", and it has not come", named->version);
    else if (named->epoch != manifest->epoch)
        say(why,
            "the fleet speaks of manifest %" PRIu64 " of epoch %" PRIu64
            ", this terminal holds %" PRIu64 " of epoch %" PRIu64,
            named->version, named->epoch, manifest->version, manifest->epoch);
    else if (named->version == manifest->version)
        say(why, "the fleet speaks of another manifest %" PRIu64 " than the one held",
            named->version);
    else
        say(why, "the fleet speaks of manifest %" PRIu64 ", this terminal holds %" PRIu64 "%s",
            named->version, manifest->version,
            named->version > manifest->version ? ", and it has not come" : "");
}

/* Somebody may hold back what is newer, by letting no answer through. */
static void look_at_proof(const struct freshness *freshness, const struct freshness_held *held,
                          char why[FRESHNESS_WHY_CHARS])
{
    int64_t age_ms = held->now_ms - freshness->proved_at_ms;
    if (held->unanswered)
        say(why, "the fleet has not answered on this connection yet");
    else if (age_ms > FRESHNESS_PROOF_MS)
        say(why, "the fleet has not answered for %" PRId64 " hours", age_ms / (3600 * 1000));
}

static void look_at_expiry(const struct freshness_held *held, char why[FRESHNESS_WHY_CHARS])
{
    size_t used = strlen(why);
    if (used > 0 && held->manifest.version != 0 && held->expires_ms != 0 &&
        held->expires_ms < held->at_least_ms)
        (void)snprintf(why + used, FRESHNESS_WHY_CHARS - used, "; the one held has expired");
}

void freshness_look(struct freshness *freshness, const struct freshness_held *held,
                    char ret_why[FRESHNESS_WHY_CHARS])
{
    ret_why[0] = '\0';
    look_at_root(freshness, held, ret_why);
    if (ret_why[0] == '\0' && held->refused.version != 0)
        say(ret_why, "manifest %" PRIu64 " came and was refused here: %s", held->refused.version,
            held->refused_why);
    if (ret_why[0] == '\0')
        look_at_manifest(freshness, held, ret_why);
    if (ret_why[0] == '\0') {
        freshness->fresh_ms = freshness->welcomed_ms;
        freshness->fresh_at_ms = freshness->proved_at_ms;
        look_at_proof(freshness, held, ret_why);
    }
    look_at_expiry(held, ret_why);
}
