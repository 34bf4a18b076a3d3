/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_H
#define FLEET_CTL_H

#include "base/clock.h"
#include "base/exit_codes.h"
#include "fleet/client.h"
#include "fleet/ctl_args.h"

/* What every command of musterctl is given. */
struct ctl {
    const char *server;
    struct client *client;
    const struct clock *clock;
    FILE *out;
    bool json; /* -o json */
    FILE *csv; /* -o csv: where tables go, and `out` leads nowhere; else NULL */
    bool csv_begun;
};

/* One command: `words` is what calls it ("doc publish"), `run` returns its exit code and says in
 * `err` why it is not EXIT_OK. */
struct ctl_command {
    const char *words;
    const char *arguments; /* for the help: "NAME FILE" */
    const char *summary;
    const char *notes;                /* more for its own help, whole lines; NULL: none */
    const struct ctl_option *options; /* NULL: only the common ones */
    size_t argument_count;            /* so many are required */
    size_t optional_count;            /* and so many more may be given */
    bool has_csv;                     /* it prints a table, or CSV by itself; others refuse it */
    int (*run)(struct ctl *ctl, const struct ctl_args *args, struct err *err);
};

extern const struct ctl_command ctl_keys_make, ctl_keys_new, ctl_keys_rotate, ctl_keys_revoke,
    ctl_keys_sign, ctl_keys_check, ctl_keys_show, ctl_device_add, ctl_device_sealing, ctl_doc_seal,
    ctl_doc_publish, ctl_doc_sign, ctl_doc_cosign, ctl_doc_resign, ctl_assign, ctl_unassign,
    ctl_get_devices, ctl_get_documents, ctl_describe_device, ctl_errors, ctl_rates, ctl_top,
    ctl_audit, ctl_bundle, ctl_diff, ctl_plan, ctl_root_publish, ctl_get_roots, ctl_get_keys,
    ctl_action, ctl_get_actions, ctl_get_proposals, ctl_propose_accept, ctl_propose_refuse,
    ctl_logs, ctl_device_move, ctl_device_swap, ctl_device_state, ctl_device_suspend,
    ctl_device_resume, ctl_device_retire, ctl_device_history, ctl_device_label,
    ctl_describe_terminal, ctl_get_duties, ctl_duty_done, ctl_group_add, ctl_group_remove,
    ctl_get_groups, ctl_store_set, ctl_get_stores, ctl_region_set, ctl_get_regions, ctl_token_add,
    ctl_token_list, ctl_token_revoke, ctl_changes, ctl_find, ctl_watch, ctl_webhook_add,
    ctl_webhook_list, ctl_webhook_remove, ctl_webhook_test, ctl_device_import, ctl_device_export,
    ctl_retention, ctl_merchant_erase, ctl_get_erasures, ctl_presence;

/* A whole run: finds the command, reads its options, runs it, prints errors to stderr. */
int ctl_main(int argc, char *const *argv);

/* Of commands that change something, among their options: `--dry-run` goes all the way to the
 * change and tells what it would be. JSON has "dry_run": true; ctl_say_dry_run ends what people are
 * told. */
#define CTL_DRY_RUN                                                                                \
    {                                                                                              \
        .name = "--dry-run", .help = "show what would change, and change nothing"                  \
    }
bool ctl_is_dry_run(const struct ctl_args *args);
void ctl_say_dry_run(struct ctl *ctl);

/* A device id from the command line; a wrong one is wrong usage. */
bool ctl_device_id(const char *id, struct err *err) MUSTER_CHECK;

/* Members of a reply, "" or 0 where they are missing. */
const char *ctl_text(const json_t *object, const char *name);
int64_t ctl_number(const json_t *object, const char *name);

struct ctl_table;
/* A number as a cell; "-": it is null, for it is not told to whoever asks. */
void ctl_add_number(struct ctl_table *table, const json_t *object, const char *name);
/* Prints a table as people want it (without a row: `nothing`), and frees it; false if cells were
 * lost for want of memory. */
bool ctl_print_table(struct ctl *ctl, struct ctl_table *table, const char *nothing);

/* Where sentences go that stand beside a table: to people as well who read it as CSV. */
FILE *ctl_aside(const struct ctl *ctl);
/* What is printed is secret: a file that it goes to is made its owner's alone. Before it is made.
 */
bool ctl_guard_output(const struct ctl *ctl, struct err *err) MUSTER_CHECK;

/* Prints a value as indented JSON; EXIT_OK, or EXIT_SYSTEM. */
int ctl_print_json(struct ctl *ctl, const json_t *value, struct err *err);
/* Asks for `path` and prints what comes, for people with `print`; an exit code. */
int ctl_show(struct ctl *ctl, const char *path, bool (*print)(struct ctl *ctl, const json_t *reply),
             struct err *err);
/* The same for a `list` of the newest `limit`: that there may be more is said, and what shows them.
 */
int ctl_show_newest(struct ctl *ctl, const char *path, const char *list, int64_t limit,
                    const char *older, bool (*print)(struct ctl *ctl, const json_t *reply),
                    struct err *err);

#endif
