/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_proposals.h"

#include "fleet/access.h"
#include "fleet/api_assign.h"
#include "fleet/api_fleet.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/record.pb-c.h"
#include "proto/seal.h"
#include "storage/fleetdb_proposals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SEEN_BYTES = 8, SEEN_CHARS = 2 * SEEN_BYTES };

json_t *api_difference_json(const struct fleetdb_difference *difference)
{
    char kind[48];
    if (difference->kind == (int)MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE)
        return json_null();
    api_word(&muster__difference_kind__descriptor, "DIFFERENCE_", difference->kind, kind);
    json_t *rows =
        difference->rows_compared
            ? json_pack("{s:I, s:I, s:I}", "only_found", (json_int_t)difference->rows_only_found,
                        "only_wanted", (json_int_t)difference->rows_only_wanted, "first",
                        (json_int_t)difference->first_row)
            : json_null();
    return json_pack("{s:s, s:b, s:I, s:I, s:o}", "what", kind, "owned", (int)difference->owned,
                     "wanted_bytes", (json_int_t)difference->wanted_bytes, "found_bytes",
                     (json_int_t)difference->found_bytes, "rows", rows);
}

/* Over all that ops decide by: another one is another question. */
static void seen_of(const struct fleetdb_proposal *proposal, char seen[SEEN_CHARS + 1])
{
    const struct fleetdb_difference *difference = &proposal->difference;
    char wanted[65] = "", held[65] = "", text[1024];
    uint8_t digest[32];
    if (proposal->wanted_sha256.length == 32)
        hex_encode(proposal->wanted_sha256.data, 32, wanted);
    if (proposal->held_sha256.length == 32)
        hex_encode(proposal->held_sha256.data, 32, held);
    int n = snprintf(
        text, sizeof text, "%.40s %.60s %" PRIu64 " %" PRIu64 " %s %s %d %d %" PRIu64 " %.480s",
        proposal->device, proposal->name, proposal->epoch, proposal->version, wanted, held,
        difference->kind, (int)difference->owned, difference->found_bytes, proposal->reason);
    sha256(bytes_of(text, (size_t)n), digest);
    hex_encode(digest, SEEN_BYTES, seen);
}

static json_t *hash_json(struct bytes hash)
{
    char hex[65] = "";
    if (hash.length == 32)
        hex_encode(hash.data, 32, hex);
    return json_string(hex);
}

struct listing {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list;
};

static bool add_proposal(void *ctx, const struct fleetdb_proposal *proposal, struct err *err)
{
    const struct listing *listing = ctx;
    char seen[SEEN_CHARS + 1];
    struct fleetdb_device device;
    int64_t since_ms = 0;
    bool holds = false;
    if (!fleetdb_scope_holds_id(listing->db, listing->scope, proposal->device, &holds, err))
        return false;
    if (!holds)
        return true;
    if (!fleetdb_device_find(listing->db, proposal->device, &device, err) ||
        !fleetdb_scope_since(listing->db, listing->scope, device.device, &since_ms, err))
        return false;
    seen_of(proposal, seen);
    json_t *shown = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:s, s:I, s:s}", "device", proposal->device,
        "document", proposal->name, "kind", word_of_kind(proposal->kind), "epoch",
        (json_int_t)proposal->epoch, "wanted_version", (json_int_t)proposal->version,
        "found_version", (json_int_t)proposal->found_version, "wanted_sha256",
        hash_json(proposal->wanted_sha256), "found_sha256", hash_json(proposal->held_sha256),
        "difference", api_difference_json(&proposal->difference), "reason",
        proposal->told_ms < since_ms ? "" : proposal->reason, "told_ms",
        (json_int_t)proposal->told_ms, "seen", seen);
    return json_array_append_new(listing->list, shown) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the proposals");
}

bool api_list_proposals(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_desired *desired = ctx;
    struct listing listing = {desired->db, request->caller->scope,
                              api_list(answer, "proposals", err)};
    return listing.list != NULL &&
           fleetdb_view_proposals(desired->db, 0, add_proposal, &listing, err);
}

/* ---- an answer to one ---- */

struct found {
    const char *name;
    bool is;
    uint64_t version;
    int64_t row;
    char seen[SEEN_CHARS + 1];
};

static bool find_one(void *ctx, const struct fleetdb_proposal *proposal, struct err *err)
{
    struct found *found = ctx;
    (void)err;
    if (strcmp(proposal->name, found->name) != 0)
        return true;
    found->is = true;
    found->version = proposal->version;
    found->row = proposal->document;
    seen_of(proposal, found->seen);
    return true;
}

struct reply {
    const char *device, *document, *seen, *answer;
};

static bool read_reply(const json_t *object, struct reply *reply, struct err *err)
{
    if (!api_text(object, "device", LIMIT_DEVICE_ID_CHARS, &reply->device, err) ||
        !api_text(object, "document", LIMIT_DOCUMENT_NAME_CHARS, &reply->document, err) ||
        !api_text(object, "seen", SEEN_CHARS, &reply->seen, err) ||
        !api_text(object, "answer", 16, &reply->answer, err))
        return false;
    return strcmp(reply->answer, "accept") == 0 || strcmp(reply->answer, "refuse") == 0 ||
           err_set(err, ERR_INVALID, "answer: expected accept or refuse");
}

/* What ops looked at is what the terminal proposes now. */
static bool still_stands(const struct api_desired *desired, const struct reply *reply,
                         struct director_order *order, struct err *err)
{
    struct fleetdb_device device;
    struct found found = {.name = reply->document};
    if (!fleetdb_device_find(desired->db, reply->device, &device, err) ||
        !fleetdb_view_proposals(desired->db, device.device, find_one, &found, err))
        return false;
    if (!found.is)
        return err_set(err, ERR_CONFLICT,
                       "%s proposes nothing of %s now: see musterctl get proposals", reply->device,
                       reply->document);
    if (strcmp(found.seen, reply->seen) != 0)
        return err_set(err, ERR_CONFLICT,
                       "%s proposes something else of %s than %s by now (%s): look at it again "
                       "with musterctl get proposals",
                       reply->device, reply->document, reply->seen, found.seen);
    order->version = found.version;
    order->row = found.row;
    return true;
}

static bool answer_one(struct api_desired *desired, const json_t *object,
                       const struct api_request *request, json_t **ret_answer, struct err *err)
{
    struct reply reply;
    struct director_order order = {.who = request->caller->name};
    char note[64];
    if (!read_reply(object, &reply, err) ||
        !access_check_device(desired->db, request->caller, reply.device, err) ||
        !still_stands(desired, &reply, &order, err))
        return false;
    bool accepts = strcmp(reply.answer, "accept") == 0;
    (void)snprintf(note, sizeof note, "proposal %.16s %s", reply.seen,
                   accepts ? "accepted" : "refused");
    order.document = reply.document;
    order.mode =
        (int)(accepts ? MUSTER__ASSIGN_MODE__MODE_REPAIR : MUSTER__ASSIGN_MODE__MODE_OBSERVE);
    order.note = note;
    return api_assign(desired, &order, &reply.device, 1, request->now_ms, ret_answer, err);
}

bool api_post_proposal(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = answer_one(ctx, object, request, &answer->json, err) &&
              (answer->json != NULL || api_no_memory(err));
    json_decref(object);
    return ok;
}
