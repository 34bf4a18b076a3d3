/* SPDX-License-Identifier: Apache-2.0 */
/* What terminals ask ops about, and the answers. */
#include "fleet/ctl_proposals.h"

#include "fleet/ctl_choose.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <string.h>

/* ---- a difference ---- */

void ctl_rows_text(const json_t *difference, char text[CTL_ROWS_BYTES])
{
    const json_t *rows = json_object_get(difference, "rows");
    int64_t found = ctl_number(rows, "only_found"), wanted = ctl_number(rows, "only_wanted");
    int64_t first = ctl_number(rows, "first");
    if (!json_is_object(rows))
        (void)snprintf(text, CTL_ROWS_BYTES, "not compared");
    else if (found > 0 || wanted > 0)
        (void)snprintf(text, CTL_ROWS_BYTES,
                       "%" PRId64 " only there, %" PRId64 " only wanted, from line %" PRId64, found,
                       wanted, first);
    else if (first > 0)
        (void)snprintf(text, CTL_ROWS_BYTES, "the same, in another order from line %" PRId64,
                       first);
    else
        (void)snprintf(text, CTL_ROWS_BYTES, "the same, other ends of lines");
}

static const char *whose(const json_t *difference)
{
    return json_is_true(json_object_get(difference, "owned")) ? "its owner's" : "Muster's";
}

/* Of what is sealed a terminal tells no length. */
static bool is_sealed(const json_t *difference)
{
    return ctl_number(difference, "found_bytes") == 0 &&
           ctl_number(difference, "wanted_bytes") == 0;
}

/* "390112 bytes, version 3, 5f2a..." */
static void add_found(struct ctl_table *table, const json_t *difference, int64_t version,
                      const char *sha256)
{
    char which[48] = "";
    const char *what = ctl_text(difference, "what");
    bool read = strcmp(what, "content") == 0 || strcmp(what, "too_long") == 0;
    if (version > 0)
        (void)snprintf(which, sizeof which, ", version %" PRId64, version);
    if (what[0] == '\0')
        ctl_table_text(table, sha256[0] != '\0' ? "the same content" : "-");
    else if (!read)
        ctl_table_text(table, what);
    else if (is_sealed(difference))
        ctl_table_text(table, "sealed");
    else
        ctl_table_format(table, "%" PRId64 " bytes%s%s%.16s", ctl_number(difference, "found_bytes"),
                         which, sha256[0] != '\0' ? ", " : "", sha256);
}

static void add_difference(struct ctl_table *table, const json_t *item, const json_t *difference)
{
    char rows[CTL_ROWS_BYTES];
    ctl_rows_text(difference, rows);
    ctl_table_text(table, ctl_text(item, "name"));
    ctl_table_text(table, whose(difference));
    add_found(table, difference, ctl_number(item, "found_version"), ctl_text(item, "held_sha256"));
    if (is_sealed(difference))
        ctl_table_format(table, "sealed, version %" PRId64, ctl_number(item, "wanted_version"));
    else
        ctl_table_format(table, "%" PRId64 " bytes, version %" PRId64 ", %.16s",
                         ctl_number(difference, "wanted_bytes"), ctl_number(item, "wanted_version"),
                         ctl_text(item, "wanted_sha256"));
    ctl_table_text(table, rows);
}

bool ctl_describe_differences(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *item;
    struct ctl_table *table = NULL;
    json_array_foreach(json_object_get(device, "items"), i, item)
    {
        const json_t *difference = json_object_get(item, "difference");
        if (!json_is_object(difference))
            continue;
        if (table == NULL)
            table = ctl_table_new("DIFFERENCE|WHOSE FILE|FOUND|WANTED|ROWS");
        add_difference(table, item, difference);
    }
    if (table == NULL)
        return true;
    fputc('\n', ctl->out);
    return ctl_print_table(ctl, table, "");
}

/* ---- get proposals ---- */

static bool print_proposals(struct ctl *ctl, const json_t *list)
{
    size_t i;
    json_t *proposal;
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table =
        ctl_table_new("DEVICE|DOCUMENT|WHOSE FILE|FOUND|>WANTED|ROWS|TOLD|SEEN|REASON");
    json_array_foreach(list, i, proposal)
    {
        char rows[CTL_ROWS_BYTES];
        const json_t *difference = json_object_get(proposal, "difference");
        ctl_rows_text(difference, rows);
        ctl_table_text(table, ctl_text(proposal, "device"));
        ctl_table_text(table, ctl_text(proposal, "document"));
        ctl_table_text(table, whose(difference));
        add_found(table, difference, ctl_number(proposal, "found_version"),
                  ctl_text(proposal, "found_sha256"));
        ctl_table_count(table, ctl_number(proposal, "wanted_version"));
        ctl_table_text(table, rows);
        ctl_table_ago(table, ctl_number(proposal, "told_ms"), now_ms);
        ctl_table_text(table, ctl_text(proposal, "seen"));
        ctl_table_text(table, ctl_text(proposal, "reason"));
    }
    return ctl_print_table(ctl, table, "No terminal proposes anything.");
}

static int get_proposals(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply = NULL, *ids = json_array();
    int code = ctl_choose(ctl, args, ids, err);
    if (code == EXIT_OK && !client_get(ctl->client, "/api/v1/proposals", &reply, err))
        code = exit_code_of(err);
    json_t *shown = json_pack("{s:o}", "proposals",
                              ctl_keep_chosen(json_object_get(reply, "proposals"), "device", ids));
    if (code == EXIT_OK && ctl->json)
        code = ctl_print_json(ctl, shown, err);
    else if (code == EXIT_OK && !print_proposals(ctl, json_object_get(shown, "proposals")))
        code = EXIT_SYSTEM;
    json_decref(shown);
    json_decref(reply);
    json_decref(ids);
    return code;
}

static const struct ctl_option get_options[] = {
    CTL_CHOOSE_DEVICES,
    {0},
};

const struct ctl_command ctl_get_proposals = {
    .words = "get proposals",
    .arguments = "",
    .summary = "List what terminals ask about: documents that differ and are only proposed.",
    .options = get_options,
    .has_csv = true,
    .run = get_proposals,
};

/* ---- propose accept, propose refuse ---- */

/* The one proposal, as a list of its own; NULL: there is none. */
static json_t *find_proposal(struct ctl *ctl, const char *device, const char *document,
                             struct err *err)
{
    size_t i;
    json_t *reply, *proposal, *found = NULL;
    if (!client_get(ctl->client, "/api/v1/proposals", &reply, err))
        return NULL;
    json_array_foreach(json_object_get(reply, "proposals"), i, proposal)
    {
        if (strcmp(ctl_text(proposal, "device"), device) == 0 &&
            strcmp(ctl_text(proposal, "document"), document) == 0)
            found = json_pack("[O]", proposal);
    }
    json_decref(reply);
    if (found == NULL)
        err_set(err, ERR_NOT_FOUND, "%s proposes nothing of %s; see musterctl get proposals",
                device, document);
    return found;
}

static int print_answered(struct ctl *ctl, const json_t *reply, struct err *err)
{
    const json_t *device = json_array_get(json_object_get(reply, "devices"), 0);
    const char *waits_for = ctl_text(device, "waits_for");
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    if (waits_for[0] != '\0')
        fprintf(ctl->out, "%s: no new manifest: waits for %s to be signed again\n",
                ctl_text(device, "id"), waits_for);
    else
        fprintf(ctl->out, "%s: manifest %" PRId64 "\n", ctl_text(device, "id"),
                ctl_number(device, "manifest_version"));
    return EXIT_OK;
}

static int post_answer(struct ctl *ctl, const struct ctl_args *args, const char *seen,
                       const char *answer, struct err *err)
{
    json_t *reply,
        *request = json_pack("{s:s, s:s, s:s, s:s}", "device", args->arguments[0], "document",
                             args->arguments[1], "seen", seen, "answer", answer);
    bool done = client_post(ctl->client, "/api/v1/proposals", request, &reply, err);
    json_decref(request);
    if (!done)
        return exit_code_of(err);
    int code = print_answered(ctl, reply, err);
    json_decref(reply);
    return code;
}

/* Without --seen it is looked at here and now, and shown. */
static int answer_it(struct ctl *ctl, const struct ctl_args *args, const char *answer,
                     struct err *err)
{
    const char *seen = ctl_arg(args, "--seen", NULL);
    if (!ctl_device_id(args->arguments[0], err))
        return EXIT_USAGE;
    if (!document_name_valid(args->arguments[1])) {
        err_set(err, ERR_INVALID, "\"%.60s\" is not a document's name", args->arguments[1]);
        return EXIT_USAGE;
    }
    if (seen != NULL)
        return post_answer(ctl, args, seen, answer, err);
    json_t *looked = find_proposal(ctl, args->arguments[0], args->arguments[1], err);
    if (looked == NULL)
        return exit_code_of(err);
    int code = ctl->json || print_proposals(ctl, looked) ? EXIT_OK : EXIT_SYSTEM;
    if (code == EXIT_OK)
        code = post_answer(ctl, args, ctl_text(json_array_get(looked, 0), "seen"), answer, err);
    json_decref(looked);
    return code;
}

static int accept_it(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return answer_it(ctl, args, "accept", err);
}

static int refuse_it(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return answer_it(ctl, args, "refuse", err);
}

static const struct ctl_option answer_options[] = {
    {.name = "--seen",
     .value = "DIGEST",
     .help = "as get proposals had it: what is proposed otherwise by now is left [looked at now]"},
    {0},
};

const struct ctl_command ctl_propose_accept = {
    .words = "propose accept",
    .arguments = "DEVICE NAME",
    .summary = "Have a terminal put right what it asks about: the assignment becomes repair.",
    .notes = "Muster's copy goes in force on the terminal. A file that another system owns there\n"
             "([owned] in agent.conf) is not written: its owner takes the content from the\n"
             "registry's current/NAME, and until it has the terminal is not converged.",
    .options = answer_options,
    .argument_count = 2,
    .has_csv = true,
    .run = accept_it,
};

const struct ctl_command ctl_propose_refuse = {
    .words = "propose refuse",
    .arguments = "DEVICE NAME",
    .summary = "Leave it as it is: the assignment becomes observe, and is asked about no more.",
    .options = answer_options,
    .argument_count = 2,
    .has_csv = true,
    .run = refuse_it,
};
