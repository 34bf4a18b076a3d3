/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "fleet/base64.h"
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"
#include "proto/limits.h"
#include "proto/trust.h"

#include <inttypes.h>

/* ---- get roots ---- */

/* What the newest root has still to reach, and what keeps it. */
static void print_behind(struct ctl *ctl, const json_t *reply, int64_t now_ms)
{
    int64_t behind = ctl_number(reply, "manifests_behind");
    int64_t failed = ctl_number(reply, "devices_failed");
    char count[CTL_TEXT_BYTES], when[CTL_TEXT_BYTES];
    ctl_count_text(behind, count);
    if (behind > 0)
        fprintf(ctl->out, "\n%s %s of an older root%s.\n", count,
                behind == 1 ? "manifest is still" : "manifests are still",
                json_is_true(json_object_get(reply, "signing")) ? "; they are being signed now"
                                                                : "");
    ctl_count_text(ctl_number(reply, "devices_waiting"), count);
    if (ctl_number(reply, "devices_waiting") > 0)
        fprintf(ctl->out,
                "Of these %s wait for documents to be signed again, beginning with %s: "
                "musterctl doc resign.\n",
                count, ctl_text(reply, "document"));
    if (failed == 0)
        return;
    ctl_count_text(failed, count);
    ctl_ago_text(ctl_number(reply, "next_attempt_ms"), now_ms, when);
    fprintf(ctl->out, "%s%s failed, beginning with %s.\n", failed > 0 ? count : "Signing them",
            failed > 0 ? " of these" : "", ctl_text(reply, "failure"));
    if (ctl_number(reply, "next_attempt_ms") != 0)
        fprintf(ctl->out, "The next attempt is %s.\n", when);
}

static int print_roots(struct ctl *ctl, const json_t *reply, struct err *err)
{
    size_t i;
    json_t *root;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new(">ROOT|>EPOCH|ISSUED|PUBLISHED|>DEVICES");
    json_array_foreach(json_object_get(reply, "roots"), i, root)
    {
        ctl_table_count(table, ctl_number(root, "version"));
        ctl_table_count(table, ctl_number(root, "epoch"));
        ctl_table_ago(table, ctl_number(root, "issued_ms"), now_ms);
        ctl_table_ago(table, ctl_number(root, "published_ms"), now_ms);
        ctl_add_number(table, root, "devices");
    }
    if (!ctl_print_table(ctl, table, "No roots."))
        return EXIT_SYSTEM;
    print_behind(ctl, reply, now_ms);
    return EXIT_OK;
}

static int get_roots(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply;
    (void)args;
    if (!client_get(ctl->client, "/api/v1/roots", &reply, err))
        return exit_code_of(err);
    int code = print_roots(ctl, reply, err);
    json_decref(reply);
    return code;
}

const struct ctl_command ctl_get_roots = {
    .words = "get roots",
    .arguments = "",
    .summary = "List the chain of trust roots, and how many devices know each as their newest.",
    .has_csv = true,
    .run = get_roots,
};

/* ---- root publish ---- */

static bool post_root(struct ctl *ctl, struct bytes envelope, bool dry_run, json_t **ret_reply,
                      struct err *err)
{
    struct buf text = {0};
    bool ok = base64_encode(envelope, &text, err);
    json_t *body =
        ok ? json_pack("{s:s, s:b}", "root", (const char *)text.data, "dry_run", (int)dry_run)
           : NULL;
    if (ok && body == NULL)
        ok = err_set(err, ERR_NO_MEMORY, "no memory for a root");
    ok = ok && client_post(ctl->client, "/api/v1/roots", body, ret_reply, err);
    json_decref(body);
    buf_done(&text);
    return ok;
}

static int print_published(struct ctl *ctl, const json_t *reply, struct err *err)
{
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    bool is_new = json_is_true(json_object_get(reply, "new"));
    fprintf(ctl->out, "root %" PRId64 ", epoch %" PRId64 "%s\n", ctl_number(reply, "version"),
            ctl_number(reply, "epoch"),
            !is_new                                           ? ", was published before."
            : json_is_true(json_object_get(reply, "dry_run")) ? " could be published."
                                                              : " is published; every manifest "
                                                                "is signed again under it.");
    if (json_is_true(json_object_get(reply, "dry_run")))
        ctl_say_dry_run(ctl);
    return EXIT_OK;
}

static int root_publish(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct buf root = {.limit = LIMIT_ROOT_BYTES};
    struct trust *trust = NULL;
    json_t *reply = NULL;
    if (!file_read(args->arguments[0], LIMIT_ROOT_BYTES, &root, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    bool ok =
        trust_open(buf_bytes(&root), &trust, err) &&
        post_root(ctl, buf_bytes(&root), ctl_arg(args, "--dry-run", NULL) != NULL, &reply, err);
    trust_free(trust);
    buf_done(&root);
    int code = ok ? print_published(ctl, reply, err) : exit_code_of(err);
    json_decref(reply);
    return code;
}

static const struct ctl_option options[] = {CTL_DRY_RUN, {0}};

const struct ctl_command ctl_root_publish = {
    .words = "root publish",
    .arguments = "FILE",
    .summary = "Give a root that its keepers have signed to musterd, and so to every terminal.",
    .notes =
        "It must follow the newest one, and name a key of the director and of receipts that\n"
        "musterd holds: add the new key's file to keys.director or keys.receipt first. A root\n"
        "from before the first that musterd knows is taken too, for terminals that are older.",
    .options = options,
    .argument_count = 1,
    .run = root_publish,
};
