/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sealed.h"
#include "tests/attack/fleet.h"
#include "tests/unit/device_ca.h"

#include <stdio.h>
#include <string.h>

static void say(const char *device, size_t secret, size_t version, struct buf *out)
{
    char text[256];
    int length;
    /* The device's name makes each one's its own; no key is wrapped here. */
    if (secret == SECRET_PIN)
        length = snprintf(text, sizeof text,
                          "B0080P0TE00E0000%016zX%016zX0123456789ABCDEF0123456789ABCDEF",
                          strlen(device) * 7919 + (size_t)device[0], version + 1);
    else
        length = snprintf(text, sizeof text, "[wifi]\nssid = shop\npassword = %s-%zu-hush\n",
                          device, version + 1);
    must(length > 0 && buf_append(out, text, (size_t)length, NULL), "memory", NULL);
}

void fleet_enrol(struct fleet *fleet, const char *folder, const char *device)
{
    struct fleet_device *to = &fleet->devices[fleet->device_count++];
    struct sealing_key *key = NULL;
    struct device_ca ca;
    const struct device_ca_order order = {.name = device};
    struct buf request = {0}, certificate = {0};
    struct err err = {0};
    to->name = device;
    (void)snprintf(to->sealing_key, sizeof to->sealing_key, "%s/%s.sealing", folder, device);
    must(sealing_key_make(to->sealing_key, &key, &err) &&
             sealing_key_request(key, device, &request, &err) && buf_append(&request, "", 1, &err),
         "a sealing key", &err);
    device_ca_make(&ca, "devices");
    device_ca_sign_request(&ca, (const char *)request.data, &order, &certificate);
    for (size_t i = 0; i < FLEET_SECRETS; i++) {
        for (size_t version = 0; version < FLEET_SECRET_VERSIONS; version++) {
            struct secret *secret = &to->secrets[i][version];
            say(device, i, version, &secret->plain);
            must(sealed_make(buf_bytes(&certificate), buf_bytes(&secret->plain), &secret->sealed,
                             &err),
                 "what is sealed", &err);
        }
    }
    device_ca_done(&ca);
    sealing_key_free(key);
    buf_done(&request);
    buf_done(&certificate);
}

const struct fleet_device *fleet_device(const struct fleet *fleet, const char *name)
{
    for (size_t i = 0; i < fleet->device_count; i++)
        if (strcmp(fleet->devices[i].name, name) == 0)
            return &fleet->devices[i];
    must(false, name, NULL);
    return NULL;
}
