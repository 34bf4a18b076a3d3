/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a device: moved, swapped, taken out of service. */
#include "fleet/ctl_choose.h"
#include "fleet/ctl_place.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Why a move is more than a move. */
#define REGISTRATION                                                                                   \
    "In China a serial number is bound to acquirer, merchant and address (银发〔2021〕259号): a " \
    "move\nor a swap is a registration act, and one that was skipped is itself a cause of 58 and "     \
    "97. What is\nto be told is kept until you say that it was done: get duties, duty done."

static bool post(struct ctl *ctl, const char *device, const char *deed, const json_t *request,
                 json_t **ret_reply, struct err *err)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/%s", device, deed);
    return client_post(ctl->client, path, request, ret_reply, err);
}

static json_t *request_of(const struct ctl_args *args, struct err *err)
{
    json_t *request = json_pack("{s:s, s:b}", "why", ctl_arg(args, "--why", ""), "dry_run",
                                (int)ctl_is_dry_run(args));
    if (request == NULL)
        err_set(err, ERR_INVALID, "--why: not UTF-8");
    return request;
}

/* Only of those whose life ends with it. */
static void say_give_up(const struct ctl_args *args, json_t *request)
{
    if (ctl_arg(args, "--give-up-records", NULL) != NULL)
        json_object_set_new(request, "give_up_records", json_true());
}

static const char *would(const json_t *reply)
{
    return json_is_true(json_object_get(reply, "dry_run")) ? "would " : "";
}

static int print_duties(struct ctl *ctl, const json_t *duties)
{
    return json_array_size(duties) == 0 || ctl_print_duties(ctl, duties, CTL_DUTIES_FIRST)
               ? EXIT_OK
               : EXIT_SYSTEM;
}

/* What such a device sends is refused without a word that its merchant would hear. */
static void print_keyless(struct ctl *ctl, const json_t *reply, const char *id)
{
    if (json_is_true(json_object_get(reply, "keyless")))
        fprintf(ctl_aside(ctl),
                "%s has no agent key: nothing it sends is taken, until device add gives it one "
                "(--agent-key).\n",
                id);
}

static int end(struct ctl *ctl, const json_t *reply, int code)
{
    if (code == EXIT_OK && json_is_true(json_object_get(reply, "dry_run")))
        ctl_say_dry_run(ctl);
    return code;
}

/* ---- device move ---- */

static int print_moved(struct ctl *ctl, const json_t *reply, struct err *err)
{
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    if (json_is_true(json_object_get(reply, "changed")))
        fprintf(ctl->out, "%s %sstand%s at %s/%s.\n", ctl_text(reply, "id"), would(reply),
                would(reply)[0] ? "" : "s", ctl_text(reply, "merchant"), ctl_text(reply, "store"));
    else
        fprintf(ctl->out, "%s stands at %s/%s already, as told: nothing changes.\n",
                ctl_text(reply, "id"), ctl_text(reply, "merchant"), ctl_text(reply, "store"));
    print_keyless(ctl, reply, ctl_text(reply, "id"));
    return end(ctl, reply, print_duties(ctl, json_object_get(reply, "duties")));
}

static bool read_move(const struct ctl_args *args, json_t *request, struct err *err)
{
    bool none = ctl_arg(args, "--no-terminals", NULL) != NULL;
    if (none && ctl_arg(args, "--terminal", NULL) != NULL)
        return err_set(err, ERR_INVALID, "say either --terminal or --no-terminals");
    if (none)
        json_object_set_new(request, "terminals", json_array());
    return ctl_device_id(args->arguments[0], err) && ctl_place(args, request, err) &&
           ctl_terminals(args, request, err);
}

static int device_move(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply = NULL, *request = request_of(args, err);
    int code = EXIT_USAGE;
    if (request != NULL && read_move(args, request, err))
        code = post(ctl, args->arguments[0], "move", request, &reply, err)
                   ? print_moved(ctl, reply, err)
                   : exit_code_of(err);
    json_decref(request);
    json_decref(reply);
    return code;
}

/* The same of device add, but that a move says where to. */
static const struct ctl_option move_options[] = {
    CTL_PLACE,
    {.name = "--no-terminals", .help = "it carries none any more"},
    {.name = "--why", .value = "TEXT", .help = "for its history and the audit"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_move = {
    .words = "device move",
    .arguments = "DEVICE --merchant ID --store ID",
    .summary = "Have a device stand in another store, with what it carries.",
    .notes = "Sales made before count for the store that they were made in. A MID is its\n"
             "merchant's: at another merchant, say what the device carries (--terminal) or that\n"
             "it carries none (--no-terminals). What another device carries is not taken off it:\n"
             "device swap.\n" REGISTRATION,
    .options = move_options,
    .argument_count = 1,
    .has_csv = true,
    .run = device_move,
};

/* ---- device swap ---- */

static bool print_lacking(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *document;
    const json_t *lacking = json_object_get(reply, "lacking");
    if (json_array_size(lacking) == 0)
        return true;
    fprintf(ctl->out, "\n%s is not assigned what %s was:\n", ctl_text(reply, "to"),
            ctl_text(reply, "id"));
    json_array_foreach(lacking, i, document)
    {
        const char *name = ctl_text(document, "name");
        if (json_is_true(json_object_get(document, "sealed")))
            fprintf(ctl->out, "  %s is sealed to %s: seal it anew with musterctl doc seal\n", name,
                    ctl_text(reply, "id"));
        else
            fprintf(ctl->out, "  musterctl assign %s@%" PRId64 " --device %s\n", name,
                    ctl_number(document, "version"), ctl_text(reply, "to"));
    }
    return true;
}

static int print_swapped(struct ctl *ctl, const json_t *reply, struct err *err)
{
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    fprintf(ctl->out, "%s %stake%s the place of %s, which %s %s.\n", ctl_text(reply, "to"),
            would(reply), would(reply)[0] ? "" : "s", ctl_text(reply, "id"),
            would(reply)[0] ? "would be" : "is now", ctl_text(reply, "state"));
    print_keyless(ctl, reply, ctl_text(reply, "to"));
    bool ok = print_lacking(ctl, reply);
    json_t *duties = json_deep_copy(json_object_get(reply, "duties"));
    (void)json_array_extend(duties, json_object_get(reply, "to_duties"));
    int code = print_duties(ctl, duties);
    json_decref(duties);
    return end(ctl, reply, ok ? code : EXIT_SYSTEM);
}

static int device_swap(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    if (!ctl_device_id(args->arguments[0], err) || !ctl_device_id(args->arguments[1], err))
        return EXIT_USAGE;
    json_t *reply = NULL, *request = request_of(args, err);
    if (request == NULL)
        return EXIT_USAGE;
    json_object_set_new(request, "to", json_string(args->arguments[1]));
    json_object_set_new(request, "state", json_string(ctl_arg(args, "--state", "repair")));
    say_give_up(args, request);
    int code = post(ctl, args->arguments[0], "swap", request, &reply, err)
                   ? print_swapped(ctl, reply, err)
                   : exit_code_of(err);
    json_decref(request);
    json_decref(reply);
    return code;
}

#define GIVE_UP                                                                                    \
    {                                                                                              \
        .name = "--give-up-records",                                                               \
        .help = "retire it although it still holds records, which nobody will take any more"       \
    }

static const struct ctl_option swap_options[] = {
    {.name = "--state", .value = "STATE", .help = "what the old one is then [repair]"},
    {.name = "--why", .value = "TEXT", .help = "for their history and the audit"},
    GIVE_UP,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_swap = {
    .words = "device swap",
    .arguments = "OLD NEW",
    .summary = "Put a device in another one's place, with its logical terminals.",
    .notes = "The logical terminals go on where they were: their story is asked for by TID\n"
             "(describe terminal), whatever device carried them.\n" REGISTRATION,
    .options = swap_options,
    .argument_count = 2,
    .has_csv = true,
    .run = device_swap,
};

/* ---- device state, suspend, resume, retire ---- */

static int print_state(struct ctl *ctl, const json_t *reply)
{
    if (json_is_true(json_object_get(reply, "changed")))
        fprintf(ctl->out, "%s %s %s; it was %s.\n", ctl_text(reply, "id"),
                would(reply)[0] ? "would be" : "is", ctl_text(reply, "state"),
                ctl_text(reply, "before"));
    else
        fprintf(ctl->out, "%s is %s already.\n", ctl_text(reply, "id"), ctl_text(reply, "state"));
    if (strcmp(ctl_text(reply, "state"), "in_service") == 0)
        print_keyless(ctl, reply, ctl_text(reply, "id"));
    return print_duties(ctl, json_object_get(reply, "duties"));
}

/* Asks for each device in turn; the replies into `replies`. */
static bool post_all(struct ctl *ctl, const json_t *ids, const json_t *request, json_t *replies,
                     struct err *err)
{
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id)
    {
        json_t *reply = NULL;
        if (!post(ctl, json_string_value(id), "state", request, &reply, err))
            return err->code == ERR_NOT_FOUND ? false /* it says which */
                                              : err_context(err, "%s", json_string_value(id));
        json_array_append_new(replies, reply);
    }
    return true;
}

static int print_states(struct ctl *ctl, const json_t *replies, struct err *err)
{
    size_t i;
    json_t *reply;
    int code = EXIT_OK;
    if (ctl->json) {
        json_t *shown = json_pack("{s:O}", "devices", replies);
        code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    json_array_foreach(replies, i, reply)
    {
        if (code == EXIT_OK)
            code = print_state(ctl, reply);
    }
    return end(ctl, json_array_get(replies, 0), code);
}

/* All are asked about first: where one would be refused, none is changed. */
static int set_states(struct ctl *ctl, const json_t *ids, json_t *request, bool dry_run,
                      struct err *err)
{
    json_t *replies = json_array();
    json_object_set_new(request, "dry_run", json_true());
    bool done = post_all(ctl, ids, request, replies, err);
    if (done && !dry_run) {
        json_object_set_new(request, "dry_run", json_false());
        (void)json_array_clear(replies);
        done = post_all(ctl, ids, request, replies, err);
    }
    int code = done ? print_states(ctl, replies, err) : exit_code_of(err);
    json_decref(replies);
    return code;
}

static int change_state(struct ctl *ctl, const struct ctl_args *args, size_t from,
                        const char *state, struct err *err)
{
    if (ctl_chooses(args) == (args->argument_count > from)) {
        err_set(err, ERR_INVALID, "say which devices: by their ids, --selector or --group");
        return EXIT_USAGE;
    }
    json_t *ids = json_array(), *request = request_of(args, err);
    int code = request != NULL ? ctl_choose(ctl, args, ids, err) : EXIT_USAGE;
    for (size_t i = from; code == EXIT_OK && i < args->argument_count; i++) {
        if (ctl_device_id(args->arguments[i], err))
            json_array_append_new(ids, json_string(args->arguments[i]));
        else
            code = EXIT_USAGE;
    }
    if (code == EXIT_OK) {
        json_object_set_new(request, "state", json_string(state));
        say_give_up(args, request);
        code = set_states(ctl, ids, request, ctl_is_dry_run(args), err);
    }
    json_decref(ids);
    json_decref(request);
    return code;
}

static int device_state(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return change_state(ctl, args, 1, args->arguments[0], err);
}

static int device_suspend(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return change_state(ctl, args, 0, "suspended", err);
}

static int device_resume(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return change_state(ctl, args, 0, "in_service", err);
}

static int device_retire(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    return change_state(ctl, args, 0, "retired", err);
}

static const struct ctl_option state_options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--why", .value = "TEXT", .help = "for its history and the audit"},
    CTL_DRY_RUN,
    {0},
};
static const struct ctl_option retire_options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--why", .value = "TEXT", .help = "for its history and the audit"},
    GIVE_UP,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_state = {
    .words = "device state",
    .arguments = "STATE [DEVICE...]",
    .summary = "Say what devices are: in_service, spare, lab, repair, suspended or retired.",
    .notes = "Sales count in error rates only where their device was in service when they were\n"
             "made. Where one device would be refused, none is changed.",
    .options = retire_options,
    .argument_count = 1,
    .optional_count = CTL_ARGUMENTS_MAX,
    .has_csv = true,
    .run = device_state,
};
const struct ctl_command ctl_device_suspend = {
    .words = "device suspend",
    .arguments = "[DEVICE...]",
    .summary = "Leave devices out of all rates for a while: a shop is closed, a contract rests.",
    .options = state_options,
    .optional_count = CTL_ARGUMENTS_MAX,
    .has_csv = true,
    .run = device_suspend,
};
const struct ctl_command ctl_device_resume = {
    .words = "device resume",
    .arguments = "[DEVICE...]",
    .summary = "Have devices in service, again or for the first time.",
    .options = state_options,
    .optional_count = CTL_ARGUMENTS_MAX,
    .has_csv = true,
    .run = device_resume,
};
const struct ctl_command ctl_device_retire = {
    .words = "device retire",
    .arguments = "[DEVICE...]",
    .summary = "End devices' lives: they carry nothing any more, and what they send is refused.",
    .notes =
        "A device that still holds records is not retired before they have come. One that was\n"
        "retired by mistake becomes a spare again: device state spare.\n" REGISTRATION,
    .options = retire_options,
    .optional_count = CTL_ARGUMENTS_MAX,
    .has_csv = true,
    .run = device_retire,
};
