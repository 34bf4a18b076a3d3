/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bundle_index.h"
#include "agent/command.h"
#include "proto/refusal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    DEADLINE_MS = 120000,                         /* a generation is built meanwhile */
    DATA_BYTES = LIMIT_CLIENT_FRAME_BYTES - 1024, /* of a part in one frame */
    UNSETTLED_BYTES = 2 * 1024 * 1024,            /* given before the agent has written it down */
};

static const char help[] =
    "Usage: muster import FILE [OPTION]...\n"
    "Gives this terminal the signed state from a file that `musterctl bundle` wrote, through the\n"
    "same checks as over the line, and shows what came of it. Nothing in the file is trusted for\n"
    "being in it. That the state is the newest, only a connection can prove. Ends with 1 when\n"
    "something that it wants is not in force.\n\n";

struct import_run {
    const struct command_options *options;
    struct command_talk talk;
    struct bundle_index index;
    struct arena arena; /* of the newest answer */
    const Muster__ClientReply *reply;
    size_t roots, blobs; /* given */
    uint64_t bytes, unsettled;
};

/* ---- questions ---- */

static bool say_refused(const char *what, const Muster__ClientReply *reply, struct err *err)
{
    char reason[REFUSAL_NAME_CHARS];
    refusal_name(reply->refusal, reason);
    return err_set(err, ERR_INVALID, "this terminal refuses %s (%s): %s", what, reason, reply->why);
}

static bool ask(struct import_run *run, Muster__ImportQuery *query, const char *what,
                struct err *err)
{
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    Muster__ClientReply *reply = NULL;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_IMPORT;
    request.import = query;
    arena_done(&run->arena);
    run->reply = NULL;
    bool ok = command_talk_ask(&run->talk, &request, &run->arena, &reply, err);
    if (!ok && reply != NULL && reply->refusal != MUSTER__REFUSAL__REFUSAL_NONE)
        return say_refused(what, reply, err);
    if (!ok)
        return err_context(err, "%s", what);
    if (reply->import == NULL)
        return err_set(err, ERR_INVALID, "this agent knows no import; is it of an older version?");
    run->reply = reply;
    return true;
}

static bool ask_kind(struct import_run *run, Muster__ImportKind kind, const char *what,
                     struct err *err)
{
    Muster__ImportQuery query = MUSTER__IMPORT_QUERY__INIT;
    query.kind = kind;
    return ask(run, &query, what, err);
}

static bool settle(struct import_run *run, struct err *err)
{
    run->unsettled = 0;
    return ask_kind(run, MUSTER__IMPORT_KIND__IMPORT_SETTLE, "what was given", err);
}

/* The part that stands there, in as many frames as it takes. */
static bool give(struct import_run *run, Muster__ImportKind kind, uint64_t at, const char *what,
                 struct err *err)
{
    struct bytes content;
    if (!bundle_index_read(&run->index, at, &content, err))
        return false;
    for (size_t offset = 0; offset < content.length;) {
        size_t left = content.length - offset;
        size_t count = left < DATA_BYTES ? left : DATA_BYTES;
        Muster__ImportQuery query = MUSTER__IMPORT_QUERY__INIT;
        query.kind = kind;
        query.size = content.length;
        query.offset = offset;
        query.data = (ProtobufCBinaryData){count, (uint8_t *)(uintptr_t)content.data + offset};
        if (!ask(run, &query, what, err))
            return false;
        offset += count;
    }
    run->bytes += content.length;
    run->unsettled += content.length;
    return true;
}

/* ---- what is given ---- */

static bool give_roots(struct import_run *run, struct err *err)
{
    for (size_t i = 0; i < run->index.root_count; i++) {
        const struct bundle_root *root = &run->index.roots[i];
        char what[48];
        (void)snprintf(what, sizeof what, "root %" PRIu64, root->version);
        if (root->version <= run->reply->import->root_version)
            continue;
        if (!give(run, MUSTER__IMPORT_KIND__IMPORT_ROOT, root->at, what, err))
            return false;
        run->roots++;
    }
    return true;
}

static bool give_manifest(struct import_run *run, struct err *err)
{
    const struct bundle_index *index = &run->index;
    if (index->has_manifest)
        return give(run, MUSTER__IMPORT_KIND__IMPORT_MANIFEST, index->manifest_at, "the manifest",
                    err);
    char names[BUNDLE_DEVICES_NAMED * (LIMIT_DEVICE_ID_CHARS + 3)] = "";
    size_t shown =
        index->device_count < BUNDLE_DEVICES_NAMED ? index->device_count : BUNDLE_DEVICES_NAMED;
    for (size_t i = 0; i < shown; i++)
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                       i == 0 ? "" : ", ", index->devices[i]);
    return err_set(err, ERR_INVALID,
                   "the file holds nothing for this terminal, %s, but for %zu others: %s%s",
                   run->reply->import->device, index->device_count, names,
                   index->device_count > shown ? " ..." : "");
}

/* Of what the terminal lacks, what the file has and was not given yet; `*ret_given`: how many. */
static bool give_round(struct import_run *run, size_t *ret_given, struct err *err)
{
    uint8_t lacks[LIMIT_MANIFEST_ITEMS][32];
    size_t count = 0, given = 0;
    const Muster__ImportReply *told = run->reply->import;
    for (size_t i = 0; i < told->n_lacks && count < LIMIT_MANIFEST_ITEMS; i++)
        if (told->lacks[i].len == 32)
            memcpy(lacks[count++], told->lacks[i].data, 32);
    for (size_t i = 0; i < count; i++) {
        struct bundle_place *place = bundle_index_find(&run->index, lacks[i]);
        if (place == NULL || place->used)
            continue;
        place->used = true;
        if (!give(run, MUSTER__IMPORT_KIND__IMPORT_BLOB, place->at, "content", err))
            return false;
        given++;
        if (run->unsettled >= UNSETTLED_BYTES && !settle(run, err))
            return false;
    }
    run->blobs += given;
    *ret_given = given;
    return true;
}

/* A list of pieces is known only when it is there: so in rounds, until nothing more is to be had.
 */
static bool give_blobs(struct import_run *run, struct err *err)
{
    for (size_t given = 1; given > 0;)
        if (!settle(run, err) || !give_round(run, &given, err))
            return false;
    return settle(run, err);
}

static bool import_all(struct import_run *run, FILE *file, struct err *err)
{
    if (!ask_kind(run, MUSTER__IMPORT_KIND__IMPORT_ASK, "the question", err))
        return false;
    char device[LIMIT_DEVICE_ID_CHARS + 1];
    (void)snprintf(device, sizeof device, "%s", run->reply->import->device);
    return bundle_index_open(file, device, &run->index, err) && give_roots(run, err) &&
           give_manifest(run, err) && give_blobs(run, err);
}

/* ---- what came of it ---- */

static bool is_clean(const Muster__ClientReply *reply)
{
    return reply->import->n_lacks == 0 && reply->state != NULL && reply->state->converged &&
           command_count_unrepaired(reply->state) == 0;
}

static int print_json(const struct import_run *run)
{
    const Muster__ImportReply *told = run->reply->import;
    return command_print_json(
        run->options,
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o}", "device", told->device,
                  "root_version", (json_int_t)told->root_version, "manifest_version",
                  (json_int_t)told->manifest_version, "roots", (json_int_t)run->roots, "blobs",
                  (json_int_t)run->blobs, "bytes", (json_int_t)run->bytes, "lacking",
                  (json_int_t)told->n_lacks, "fresh", (int)(told->stale[0] == '\0'), "stale",
                  told->stale, "state", command_state_json(run->reply->state)));
}

static void print_text(const struct import_run *run)
{
    const Muster__ImportReply *told = run->reply->import;
    if (run->reply->state != NULL)
        command_print_items(run->reply->state);
    (void)printf(
        "Manifest %" PRIu64 " for %s: %zu roots and %zu blobs taken, %" PRIu64 " bytes in all.\n",
        told->manifest_version, command_plain(told->device), run->roots, run->blobs, run->bytes);
    if (told->n_lacks > 0)
        (void)printf(
            "%zu blobs that it needs are not in the file: make the bundle anew, or let the "
            "terminal connect.\n",
            told->n_lacks);
    if (told->stale[0] == '\0')
        (void)printf("The fleet has said that this is what it wants now.\n");
    else
        (void)printf("Freshness is not proved: %s. The file may be older than what the fleet wants "
                     "now;\nthe next connection will tell, and until then 'muster status' does.\n",
                     command_plain(told->stale));
}

static int run_file(const struct command_options *options, FILE *file, struct err *err)
{
    struct import_run run = {.options = options};
    if (!command_talk_begin(&run.talk, options, err))
        return command_fail(options, err);
    int exit_code = EXIT_OK;
    if (!import_all(&run, file, err))
        exit_code = command_fail(options, err);
    else if (options->json)
        exit_code = print_json(&run);
    else
        print_text(&run);
    if (exit_code == EXIT_OK && !is_clean(run.reply))
        exit_code = EXIT_NO;
    arena_done(&run.arena);
    bundle_index_close(&run.index);
    command_talk_end(&run.talk);
    return exit_code;
}

int command_import(int argc, char **argv)
{
    struct command_options options;
    struct err err = {0};
    int exit_code = EXIT_OK;
    const char *path = NULL;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!command_parse_one(&options, argc, argv, help, "FILE", &path, &exit_code))
        return exit_code;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        command_say(&options, "%s: %s", path, strerror(errno));
        return EXIT_USAGE;
    }
    exit_code = run_file(&options, file, &err);
    (void)fclose(file);
    return exit_code;
}
