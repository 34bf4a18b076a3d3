/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"
#include "agent/txn_input.h"

#include <inttypes.h>
#include <string.h>

enum { DEADLINE_MS = 5000, APPLY_DEADLINE_MS = 130000, VERSION_CHARS = 72 };

static const char plan_help[] = "Usage: muster plan [OPTION]...\n"
                                "Shows what on this terminal is not as the fleet wants it, and "
                                "what it waits for: content, the\n"
                                "payment application, a person. Changes nothing.\n\n";

static const char apply_help[] =
    "Usage: muster apply [OPTION]...\n"
    "Puts in force what waits for the payment application, whatever that is in the middle of: for\n"
    "a person who has looked. Says what that is: a generation, a key for its slot, a package for\n"
    "the installer. What comes in between is left waiting. Only root and the agent's own user\n"
    "may.\n\n";

/* ---- muster plan ---- */

static const Muster__ItemReport *report_of(const Muster__StateReport *state, const char *name)
{
    for (size_t i = 0; i < state->n_items; i++)
        if (strcmp(state->items[i]->name, name) == 0)
            return state->items[i];
    return NULL;
}

static json_t *item_json(const Muster__PlanItem *item, const Muster__StateReport *state)
{
    char kind[32], mode[32];
    enum_word(&muster__document_kind__descriptor, "DOCUMENT_", (int)item->kind, kind);
    enum_word(&muster__assign_mode__descriptor, "MODE_", (int)item->mode, mode);
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:b, s:s, s:s, s:o}", "name",
        item->name, "kind", kind, "mode", mode, "held_version", (json_int_t)item->held_version,
        "wanted_version", (json_int_t)item->wanted_version, "held_bytes",
        (json_int_t)item->held_bytes, "wanted_bytes", (json_int_t)item->wanted_bytes, "fetch_bytes",
        (json_int_t)item->fetch_bytes, "gate", item->gate, "waits", item->waits, "irreversible",
        (int)item->irreversible, "wanted_package", item->wanted_package, "running_package",
        item->running_package, "difference", command_difference_json(report_of(state, item->name)));
}

static json_t *plan_json(const Muster__PlanReply *plan)
{
    json_t *items = json_array();
    for (size_t i = 0; i < plan->n_items; i++)
        (void)json_array_append_new(items, item_json(plan->items[i], plan->state));
    return json_pack("{s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "manifest_version",
                     (json_int_t)plan->state->manifest_version, "generation",
                     (json_int_t)plan->state->generation, "converged", (int)plan->state->converged,
                     "waits", command_waits_json(plan->state->apply), "probation",
                     command_probation_json(plan->state), "items", items, "placing",
                     command_placings_json(plan->placing, plan->n_placing), "actions",
                     command_actions_json(plan->actions, plan->n_actions), "application",
                     command_lease_json(plan->lease));
}

/* Of a package its own version, which is what the terminal says that it runs. */
static void version_text(uint64_t version, char *package, bool is_package, char out[VERSION_CHARS])
{
    if (is_package)
        (void)snprintf(out, VERSION_CHARS, "%s", package[0] != '\0' ? command_plain(package) : "-");
    else if (version == 0)
        (void)snprintf(out, VERSION_CHARS, "-");
    else
        (void)snprintf(out, VERSION_CHARS, "%" PRIu64, version);
}

static void print_items(const Muster__PlanReply *plan)
{
    int width = 4;
    for (size_t i = 0; i < plan->n_items; i++)
        if ((int)strlen(plan->items[i]->name) > width)
            width = (int)strlen(plan->items[i]->name);
    (void)printf("%-*s  %-8s  %-8s  %-10s  %-32s  %s\n", width, "ITEM", "HELD", "WANTED",
                 "TO FETCH", "GATE", "WAITS");
    for (size_t i = 0; i < plan->n_items; i++) {
        const Muster__PlanItem *item = plan->items[i];
        const bool package = item->wanted_package[0] != '\0';
        char held[VERSION_CHARS], wanted[VERSION_CHARS];
        version_text(item->held_version, item->running_package, package, held);
        version_text(item->wanted_version, item->wanted_package, package, wanted);
        (void)printf("%-*s  %-8s  %-8s  %-10" PRIu64 "  %-32s  %s%s\n", width,
                     command_plain(item->name), held, wanted, item->fetch_bytes,
                     command_plain(item->gate), command_plain(item->waits),
                     item->irreversible ? " (does not go back)" : "");
    }
}

static void print_plan(const Muster__PlanReply *plan)
{
    (void)printf("Generation %" PRIu64 " is in force, manifest %" PRIu64 " is wanted%s.\n",
                 plan->state->generation, plan->state->manifest_version,
                 plan->n_items == 0 ? ": nothing would change" : "");
    if (plan->n_items > 0)
        print_items(plan);
    command_print_waits(plan->state->apply);
    command_print_probation(plan->state);
    command_print_placings(plan->placing, plan->n_placing);
    command_print_actions(plan->actions, plan->n_actions);
    command_print_lease(plan->lease);
}

static int print_reply(const struct command_options *options, const Muster__PlanReply *plan)
{
    struct err err = {0};
    if (plan == NULL || plan->state == NULL) {
        err_set(&err, ERR_INVALID, "the agent's answer holds no plan");
        return command_fail(options, &err);
    }
    if (options->json)
        return command_print_json(options, plan_json(plan));
    print_plan(plan);
    return EXIT_OK;
}

int command_plan(int argc, char **argv)
{
    struct command_options options;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], DEADLINE_MS);
    if (!command_parse_common(&options, argc, argv, plan_help, &exit_code))
        return exit_code;
    Muster__PlanQuery query = MUSTER__PLAN_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_PLAN;
    request.plan = &query;
    struct arena arena = {0};
    struct err err = {0};
    Muster__ClientReply *reply = NULL;
    exit_code = command_ask(&options, &request, &arena, &reply, &err)
                    ? print_reply(&options, reply->plan)
                    : command_fail(&options, &err);
    arena_done(&arena);
    return exit_code;
}

/* ---- muster apply ---- */

/* What a person decides: what goes in force, and under what. */
static void print_decision(const Muster__PlanReply *plan)
{
    if (plan->waiting_digest.len == 0 && plan->n_placing == 0)
        return;
    if (plan->waiting_digest.len > 0) {
        command_print_waits(plan->state->apply);
        if (plan->n_items > 0)
            print_items(plan);
    }
    command_print_placings(plan->placing, plan->n_placing);
    command_print_lease(plan->lease);
}

static int print_applied(const struct command_options *options, const Muster__StateReport *state)
{
    if (options->json) {
        int exit_code = command_print_json(options, command_state_json(state));
        if (exit_code != EXIT_OK)
            return exit_code;
    } else {
        (void)printf("generation %" PRIu64 " of manifest %" PRIu64 " is in force%s\n",
                     state->generation, state->manifest_version,
                     state->converged ? "" : "; not all is as wanted: muster plan");
        command_print_waits(state->apply);
        command_print_probation(state);
    }
    return state->converged ? EXIT_OK : EXIT_NO;
}

/* All that was shown, and nothing else. */
static bool take_shown(const Muster__PlanReply *plan, struct arena *arena,
                       Muster__ApplyQuery *query, struct err *err)
{
    query->generation_digest = plan->waiting_digest;
    query->placing = arena_alloc(arena, (plan->n_placing + 1) * sizeof query->placing[0]);
    if (query->placing == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a decision");
    for (size_t i = 0; i < plan->n_placing; i++)
        query->placing[query->n_placing++] = plan->placing[i]->digest;
    return true;
}

/* Looks first, so that what goes in force is what was looked at. */
static bool decide(struct command_talk *talk, struct arena *arena, Muster__StateReport **ret_state,
                   struct err *err)
{
    Muster__ApplyQuery query = MUSTER__APPLY_QUERY__INIT;
    Muster__PlanQuery look = MUSTER__PLAN_QUERY__INIT;
    Muster__ClientRequest request = MUSTER__CLIENT_REQUEST__INIT;
    Muster__ClientReply *reply = NULL;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_PLAN;
    request.plan = &look;
    if (!command_talk_ask(talk, &request, arena, &reply, err))
        return false;
    if (reply->plan == NULL || reply->plan->state == NULL)
        return err_set(err, ERR_INVALID, "the agent's answer holds no plan");
    if (!talk->options->json)
        print_decision(reply->plan);
    if (!take_shown(reply->plan, arena, &query, err))
        return false;
    request.what_case = MUSTER__CLIENT_REQUEST__WHAT_APPLY;
    request.apply = &query;
    if (!command_talk_ask(talk, &request, arena, &reply, err))
        return false;
    if (reply->state == NULL)
        return err_set(err, ERR_INVALID, "the agent's answer holds no state");
    *ret_state = reply->state;
    return true;
}

int command_apply(int argc, char **argv)
{
    struct command_options options;
    struct command_talk talk;
    int exit_code = EXIT_OK;
    command_options_init(&options, argv[0], APPLY_DEADLINE_MS);
    if (!command_parse_common(&options, argc, argv, apply_help, &exit_code))
        return exit_code;
    struct arena arena = {0};
    struct err err = {0};
    Muster__StateReport *state = NULL;
    if (!command_talk_begin(&talk, &options, &err))
        return command_fail(&options, &err);
    exit_code = decide(&talk, &arena, &state, &err) ? print_applied(&options, state)
                                                    : command_fail(&options, &err);
    command_talk_end(&talk);
    arena_done(&arena);
    return exit_code;
}
