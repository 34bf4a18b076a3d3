/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_KEY_JSON_H
#define FLEET_KEY_JSON_H

#include "proto/desired.pb-c.h"

#include <jansson.h>

/* What a custodian signed of a key block, as the API and the command say it: {"slot", "usage",
 * "algorithm", "mode", "key_version", "kcv": "aes-cmac:08793e"}. null: none, or not such as a
 * terminal would take. NULL: no memory. */
json_t *key_json(const Muster__KeyPlacement *key);

#endif
