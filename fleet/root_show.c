/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/root_view.h"

#include "base/clock.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

static bool has_key(const struct root_draft *draft, size_t role, const struct verify_key *key)
{
    return root_draft_role_of(draft, verify_key_id(key)) == role;
}

/* ---- JSON ---- */

/* The file in the keys' folder that holds this key; "" if there is none. */
static void find_file(char path[ROOT_PATH_BYTES], const char *dir, size_t role,
                      const struct verify_key *key)
{
    for (size_t i = 0; dir != NULL && i < ENVELOPE_SIGNATURES; i++) {
        struct verify_key *other;
        if (!root_key_path(path, dir, role, i, NULL) || !verify_key_read(path, &other, NULL))
            continue;
        bool same = memcmp(verify_key_id(other), verify_key_id(key), KEY_ID_BYTES) == 0;
        verify_key_free(other);
        if (same)
            return;
    }
    path[0] = '\0';
}

static json_t *key_json(const struct root_view *view, size_t role, const struct verify_key *key,
                        const char *change)
{
    char id[2 * KEY_ID_BYTES + 1], path[ROOT_PATH_BYTES];
    hex_encode(verify_key_id(key), KEY_ID_BYTES, id);
    find_file(path, view->keys_dir, role, key);
    json_t *shown = json_pack("{s:s, s:s, s:s}", "id", id, "file", path, "change", change);
    if (role == MUSTER__ROLE__ROLE_ROOT)
        json_object_set_new(shown, "signed", json_boolean(root_view_signed_by(view, key)));
    return shown;
}

static json_t *role_json(const struct root_view *view, size_t role)
{
    const struct root_role *now = &view->draft.roles[role], *then = &view->previous.roles[role];
    json_t *keys = json_array();
    for (size_t i = 0; i < now->count; i++) {
        bool added = view->has_previous && !has_key(&view->previous, role, now->keys[i]);
        json_array_append_new(keys, key_json(view, role, now->keys[i], added ? "added" : ""));
    }
    for (size_t i = 0; i < then->count; i++)
        if (!has_key(&view->draft, role, then->keys[i]))
            json_array_append_new(keys, key_json(view, role, then->keys[i], "removed"));
    return json_pack("{s:s, s:I, s:o}", "role", root_role_name(role), "threshold",
                     (json_int_t)now->threshold, "keys", keys);
}

static json_t *count_json(const struct root_view *view, const struct root_draft *draft)
{
    const struct root_role *keys = &draft->roles[MUSTER__ROLE__ROLE_ROOT];
    int64_t have = 0;
    for (size_t i = 0; i < keys->count; i++)
        have += root_view_signed_by(view, keys->keys[i]);
    return json_pack("{s:I, s:I, s:I}", "root", (json_int_t)draft->version, "signed",
                     (json_int_t)have, "needed", (json_int_t)keys->threshold);
}

static bool lost_a_key(const struct root_view *view, size_t role)
{
    const struct root_role *then = &view->previous.roles[role];
    for (size_t i = 0; i < then->count; i++)
        if (!has_key(&view->draft, role, then->keys[i]))
            return true;
    return false;
}

/* What whoever signs this should know will happen. */
static json_t *consequences(const struct root_view *view)
{
    static const struct {
        Muster__Role role;
        const char *text;
    } removed[] = {
        {MUSTER__ROLE__ROLE_RELEASE,
         "Documents that only the removed release key signed are refused "
         "from now on: sign them again with the keys that stay."},
        {MUSTER__ROLE__ROLE_CUSTODIAN, "Key blocks that only the removed custodian key signed are "
                                       "refused from now on: sign them again."},
        {MUSTER__ROLE__ROLE_DIRECTOR,
         "musterd needs the new director key (keys.director); it signs "
         "every manifest again."},
        {MUSTER__ROLE__ROLE_RECEIPT, "musterd needs the new receipt key (keys.receipt); receipts "
                                     "signed by the old one free no records any more."},
    };
    json_t *list = json_array();
    bool raised = view->has_previous && view->draft.epoch > view->previous.epoch;
    if (raised)
        json_array_append_new(
            list, json_string("A new epoch: no document or manifest signed before counts any more. "
                              "Terminals keep what they hold; every document has to be signed "
                              "again, and floors start afresh."));
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        bool documents = removed[i].role == MUSTER__ROLE__ROLE_RELEASE ||
                         removed[i].role == MUSTER__ROLE__ROLE_CUSTODIAN;
        if (lost_a_key(view, removed[i].role) && !(raised && documents))
            json_array_append_new(list, json_string(removed[i].text));
    }
    return list;
}

json_t *root_view_json(const struct root_view *view)
{
    json_t *roles = json_array(), *signatures = json_array();
    for (size_t role = 1; role < ROOT_ROLES; role++)
        if (view->draft.roles[role].count > 0 || view->previous.roles[role].count > 0)
            json_array_append_new(roles, role_json(view, role));
    json_array_append_new(signatures, count_json(view, &view->draft));
    if (view->has_previous)
        json_array_append_new(signatures, count_json(view, &view->previous));
    return json_pack("{s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "root_version",
                     (json_int_t)view->draft.version, "epoch", (json_int_t)view->draft.epoch,
                     "issued_ms", (json_int_t)view->draft.issued_ms, "complete",
                     (int)root_view_complete(view, NULL), "roles", roles, "signatures", signatures,
                     "consequences", consequences(view));
}

/* ---- for people ---- */

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

static bool print_keys(struct ctl *ctl, const json_t *shown)
{
    size_t r, i;
    json_t *role, *key;
    struct ctl_table *table =
        ctl_table_new("ROLE|>THRESHOLD|KEY|CHANGE|SIGNED THIS|PRIVATE HALF HERE");
    json_array_foreach(json_object_get(shown, "roles"), r, role)
        json_array_foreach(json_object_get(role, "keys"), i, key)
    {
        const json_t *has_signed = json_object_get(key, "signed");
        ctl_table_text(table, ctl_text(role, "role"));
        ctl_table_count(table, ctl_number(role, "threshold"));
        ctl_table_text(table, ctl_text(key, "id"));
        ctl_table_text(table, or_dash(ctl_text(key, "change")));
        ctl_table_text(table, has_signed == NULL ? "-" : json_is_true(has_signed) ? "yes" : "no");
        ctl_table_text(table, or_dash(ctl_text(key, "file")));
    }
    return ctl_print_table(ctl, table, "No keys.");
}

static void print_signatures(struct ctl *ctl, const json_t *shown)
{
    size_t i;
    json_t *count;
    int64_t version = ctl_number(shown, "root_version");
    json_array_foreach(json_object_get(shown, "signatures"), i, count)
        fprintf(ctl->out, "%s root keys of version %" PRId64 ": %" PRId64 ", needed %" PRId64,
                i == 0 ? "Signed by" : "; by", ctl_number(count, "root"),
                ctl_number(count, "signed"), ctl_number(count, "needed"));
    if (json_array_size(json_object_get(shown, "signatures")) == 1 && version > 1)
        fprintf(ctl->out, " (--previous tells of those of version %" PRId64 ")", version - 1);
    fprintf(ctl->out, ". %s.\n",
            json_is_true(json_object_get(shown, "complete")) ? "Complete" : "NOT complete");
}

static void print_consequences(struct ctl *ctl, const json_t *shown)
{
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(shown, "consequences"), i, text)
        fprintf(ctl->out, "  * %s\n", json_string_value(text));
}

int root_view_print(struct ctl *ctl, const struct root_view *view, struct err *err)
{
    char made[32];
    json_t *shown = root_view_json(view);
    int code = EXIT_OK;
    if (ctl->json) {
        code = ctl_print_json(ctl, shown, err);
    } else {
        clock_format(view->draft.issued_ms, made);
        fprintf(ctl->out, "Root version %" PRIu64 ", epoch %" PRIu64 ", made %s\n\n",
                view->draft.version, view->draft.epoch, made);
        code = print_keys(ctl, shown) ? EXIT_OK : EXIT_SYSTEM;
        fputc('\n', ctl->out);
        print_signatures(ctl, shown);
        print_consequences(ctl, shown);
    }
    json_decref(shown);
    return code;
}
