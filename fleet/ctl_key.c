/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_key.h"

#include "base/file.h"

#include <string.h>

enum { KCV_TEXT_BYTES = 64 };

bool ctl_path_for(const char *pattern, const char *device, char path[CTL_PATH_BYTES],
                  struct err *err)
{
    const char *hole = strstr(pattern, "{}");
    int before = hole != NULL ? (int)(hole - pattern) : (int)strlen(pattern);
    int length = snprintf(path, CTL_PATH_BYTES, "%.*s%s%s", before, pattern,
                          hole != NULL ? device : "", hole != NULL ? hole + 2 : "");
    return length < CTL_PATH_BYTES ||
           err_set(err, ERR_INVALID, "the path %.60s... is too long", path);
}

void ctl_key_print(struct ctl *ctl, const json_t *key)
{
    if (json_is_object(key))
        fprintf(ctl->out,
                "  key      slot %s, usage %s, algorithm %s, mode %s, version %lld, check value "
                "%s\n",
                ctl_text(key, "slot"), ctl_text(key, "usage"), ctl_text(key, "algorithm"),
                ctl_text(key, "mode"), (long long)ctl_number(key, "key_version"),
                ctl_text(key, "kcv"));
}

void ctl_key_column(struct ctl_table *table, const json_t *key)
{
    if (!json_is_object(key))
        ctl_table_text(table, "");
    else
        ctl_table_format(table, "%s v%lld %s %s %s %s", ctl_text(key, "slot"),
                         (long long)ctl_number(key, "key_version"), ctl_text(key, "usage"),
                         ctl_text(key, "algorithm"), ctl_text(key, "mode"), ctl_text(key, "kcv"));
}

static bool kcv_bad(struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "a key check value is given as METHOD:HEX: tdes-ecb:..., aes-cmac:... or "
                   "aes-ecb:..., of 3 bytes, aes-cmac of 3 or 5");
}

/* "aes-cmac:08793E", and a line's end where it comes from a file. */
static bool kcv_of_text(const char *text, struct key_placement *placement, struct err *err)
{
    char word[16] = "";
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof word)
        return kcv_bad(err);
    memcpy(word, text, (size_t)(colon - text));
    const char *hex = colon + 1;
    const size_t digits = strcspn(hex, " \t\r\n");
    placement->kcv_length = digits / 2;
    return (key_kcv_method(word, &placement->kcv_method) &&
            placement->kcv_length <= sizeof placement->kcv &&
            hex[digits + strspn(hex + digits, " \t\r\n")] == '\0' &&
            hex_decode(hex, digits, placement->kcv, placement->kcv_length)) ||
           kcv_bad(err);
}

static bool kcv_read(const char *value, const char *device, struct key_placement *placement,
                     struct err *err)
{
    char path[CTL_PATH_BYTES], text[KCV_TEXT_BYTES + 1] = "";
    struct buf file = {.limit = KCV_TEXT_BYTES};
    if (kcv_of_text(value, placement, NULL))
        return true;
    if (strchr(value, ':') != NULL)
        return kcv_of_text(value, placement, err);
    if (!ctl_path_for(value, device, path, err) || !file_read(path, KCV_TEXT_BYTES, &file, err))
        return err_context(err, "--kcv");
    memcpy(text, file.data, file.length);
    buf_done(&file);
    return kcv_of_text(text, placement, err) || err_context(err, "%s", path);
}

static void fill_message(struct ctl_key *key)
{
    struct key_placement *placement = &key->placement;
    key->algorithm[0] = placement->algorithm;
    key->mode[0] = placement->mode;
    key->algorithm[1] = key->mode[1] = '\0';
    muster__key_placement__init(&key->message);
    key->message.slot = placement->slot;
    key->message.usage = placement->usage;
    key->message.algorithm = key->algorithm;
    key->message.mode = key->mode;
    key->message.key_version = placement->key_version;
    key->message.kcv_method = placement->kcv_method;
    key->message.kcv = (ProtobufCBinaryData){placement->kcv_length, placement->kcv};
}

bool ctl_key_read(const struct ctl_args *args, const char *device, struct bytes block,
                  struct ctl_key *ret_key, struct err *err)
{
    struct key_block_header header = {0};
    struct key_placement *placement = &ret_key->placement;
    const char *slot = ctl_arg(args, "--slot", NULL), *kcv = ctl_arg(args, "--kcv", NULL);
    *placement = (struct key_placement){0};
    if (slot == NULL || kcv == NULL)
        return err_set(err, ERR_INVALID,
                       "a key block goes to a slot and is known by its check value: add --slot "
                       "SLOT and --kcv METHOD:HEX");
    if (!key_slot_valid(slot))
        return err_set(err, ERR_INVALID, "\"%.40s\" is no slot: expected [a-z0-9-]{1,16}", slot);
    if (!key_block_read(block, &header, err) || !kcv_read(kcv, device, placement, err))
        return false;
    memcpy(placement->slot, slot, strlen(slot) + 1);
    memcpy(placement->usage, header.usage, sizeof placement->usage);
    placement->algorithm = header.algorithm;
    placement->mode = header.mode;
    placement->key_version = header.key_version;
    if (!header.versioned)
        return err_set(err, ERR_INVALID,
                       "the block's header has key version 00: terminals take only a key whose "
                       "version rises, so have it wrapped with one from 01 to 99");
    if (!key_kcv_fits(placement, err))
        return false;
    fill_message(ret_key);
    return true;
}
