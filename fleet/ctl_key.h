/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_KEY_H
#define FLEET_CTL_KEY_H

#include "fleet/ctl.h"
#include "fleet/ctl_table.h"
#include "proto/key_placement.h"

/* The terms of a key block, which its custodian signs: the slot and the key check value are his to
 * say, all else stands in the block's own header. */
#define CTL_KEY_OPTIONS                                                                            \
    {.name = "--slot", .value = "SLOT", .help = "key block: the terminal's name of its place"},    \
    {                                                                                              \
        .name = "--kcv", .value = "METHOD:HEX",                                                    \
        .help = "key block: tdes-ecb, aes-cmac or aes-ecb, and the check value; or a FILE with "   \
                "that"                                                                             \
    }

enum { CTL_PATH_BYTES = 1024 };
/* "keys/{}.tr31": the file of this device; without {} the same file for all. */
bool ctl_path_for(const char *pattern, const char *device, char path[CTL_PATH_BYTES],
                  struct err *err) MUSTER_CHECK;

/* Who signs a key block sees where it goes, and what its key may do there (fleet/key_json.h). */
void ctl_key_print(struct ctl *ctl, const json_t *key);
/* The same for a column: "tmk v2 K0 A B aes-cmac:08793e"; "" of what is no key. */
void ctl_key_column(struct ctl_table *table, const json_t *key);

/* The placement and, for a header, the message that says it; the message points into the rest. */
struct ctl_key {
    struct key_placement placement;
    char algorithm[2], mode[2];
    Muster__KeyPlacement message;
};
/* ERR_INVALID says what is missing, or what the block's header says otherwise. */
bool ctl_key_read(const struct ctl_args *args, const char *device, struct bytes block,
                  struct ctl_key *ret_key, struct err *err) MUSTER_CHECK;

#endif
