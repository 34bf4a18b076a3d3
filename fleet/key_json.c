/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/key_json.h"

#include "proto/key_placement.h"

#include <stdio.h>

json_t *key_json(const Muster__KeyPlacement *key)
{
    struct key_placement placement;
    char hex[2 * KEY_KCV_BYTES + 1], kcv[32];
    if (!key_placement_read(key, &placement, NULL))
        return json_null();
    hex_encode(placement.kcv, placement.kcv_length, hex);
    (void)snprintf(kcv, sizeof kcv, "%s:%s", key_kcv_word(placement.kcv_method), hex);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "slot", key->slot, "usage", key->usage,
                     "algorithm", key->algorithm, "mode", key->mode, "key_version",
                     (json_int_t)key->key_version, "kcv", kcv);
}
