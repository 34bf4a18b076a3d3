/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that a loader makes on the token, and what it can say of them later. */
#include "agent/keytoken.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { ID_BYTES = 64, ATTRIBUTES_MAX = 24, LABEL_BYTES = 64 };

/* "muster K0 A B 12 aes-cmac": the inventory is read from it. */
static void id_make(const struct key_placement *facts, char ret_id[ID_BYTES])
{
    (void)snprintf(ret_id, ID_BYTES, "muster %s %c %c %u %s", facts->usage, facts->algorithm,
                   facts->mode, facts->key_version, key_kcv_word(facts->kcv_method));
}

struct template
{
    CK_ATTRIBUTE attributes[ATTRIBUTES_MAX];
    CK_ULONG count;
    CK_BBOOL yes, no, lasting;
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE type;
    char id[ID_BYTES];
};

static void add(struct template *template, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG length)
{
    template->attributes[template->count++] = (CK_ATTRIBUTE){type, value, length};
}

static void allow(struct template *template, CK_ATTRIBUTE_TYPE what, bool may)
{
    add(template, what, may ? &template->yes : &template->no, sizeof(CK_BBOOL));
}

/* What the header's mode of use says, and what the key check value is made by. A key of usage K*
 * wraps and unwraps keys inside the token, and decrypts nothing: what it protects would come out.
 */
static void add_uses(struct template *template, const struct key_placement *facts)
{
    const char mode = facts->mode;
    const bool transport = facts->usage[0] == 'K', any = mode == 'N', data = !transport;
    const bool by_cmac = facts->kcv_method == MUSTER__KCV_METHOD__KCV_AES_CMAC;
    const bool outward = any || mode == 'B' || mode == 'E',
               inward = any || mode == 'B' || mode == 'D';
    allow(template, CKA_ENCRYPT, (data && outward) || !by_cmac);
    allow(template, CKA_DECRYPT, data && inward);
    allow(template, CKA_SIGN, (data && (any || mode == 'C' || mode == 'G')) || by_cmac);
    allow(template, CKA_VERIFY, data && (any || mode == 'C' || mode == 'V'));
    allow(template, CKA_WRAP, transport && outward);
    allow(template, CKA_UNWRAP, transport && inward);
    allow(template, CKA_DERIVE, (data && any) || mode == 'X');
}

static CK_KEY_TYPE type_of(char algorithm, size_t length)
{
    if (algorithm == 'A')
        return CKK_AES;
    return length == 16 ? CKK_DES2 : CKK_DES3;
}

static void template_make(struct template *template, const struct keytoken_order *order,
                          size_t length, bool lasting)
{
    *template = (struct template){.yes = CK_TRUE,
                                  .no = CK_FALSE,
                                  .lasting = lasting ? CK_TRUE : CK_FALSE,
                                  .class = CKO_SECRET_KEY,
                                  .type = type_of(order->facts.algorithm, length)};
    id_make(&order->facts, template->id);
    add(template, CKA_CLASS, &template->class, sizeof template->class);
    add(template, CKA_KEY_TYPE, &template->type, sizeof template->type);
    add(template, CKA_TOKEN, &template->lasting, sizeof template->lasting);
    allow(template, CKA_PRIVATE, true);
    allow(template, CKA_SENSITIVE, true);
    allow(template, CKA_EXTRACTABLE, false);
    allow(template, CKA_MODIFIABLE, false); /* neither its uses nor its version */
    allow(template, CKA_COPYABLE, false);
    add(template, CKA_LABEL, (void *)(uintptr_t)order->slot, strlen(order->slot));
    add(template, CKA_ID, template->id, strlen(template->id));
    add_uses(template, &order->facts);
}

static bool made(CK_RV rv, const char *what, struct err *err)
{
    return rv == CKR_OK || err_set(err, keytoken_says_of_key(rv) ? ERR_REFUSED : ERR_IO,
                                   "token: %s: %s (PKCS#11 error 0x%lx)", what,
                                   p11_kit_strerror(rv), (unsigned long)rv);
}

bool keytoken_create(struct keytoken *token, const struct keytoken_order *order, struct bytes key,
                     bool lasting, CK_OBJECT_HANDLE *ret_key, struct err *err)
{
    struct template template;
    template_make(&template, order, key.length, lasting);
    add(&template, CKA_VALUE, (void *)(uintptr_t)key.data, key.length);
    return made(
        token->module->C_CreateObject(token->session, template.attributes, template.count, ret_key),
        "it takes no such key", err);
}

bool keytoken_unwrap(struct keytoken *token, const struct keytoken_order *order,
                     CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE protection, struct bytes block,
                     bool lasting, CK_OBJECT_HANDLE *ret_key, struct err *err)
{
    struct template template;
    CK_MECHANISM by = {mechanism, NULL, 0};
    template_make(&template, order, 16, lasting);
    return made(token->module->C_UnwrapKey(token->session, &by, protection,
                                           (CK_BYTE *)(uintptr_t)block.data, block.length,
                                           template.attributes, template.count, ret_key),
                "it does not unwrap the block", err);
}

static bool text_of(struct keytoken *token, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type,
                    char ret_text[LABEL_BYTES])
{
    CK_ATTRIBUTE about = {type, ret_text, LABEL_BYTES - 1};
    if (token->module->C_GetAttributeValue(token->session, key, &about, 1) != CKR_OK ||
        about.ulValueLen >= LABEL_BYTES)
        return false;
    ret_text[about.ulValueLen] = '\0';
    return true;
}

bool keytoken_describe(struct keytoken *token, CK_OBJECT_HANDLE key, struct key_held *ret_held,
                       bool *ret_placed, struct err *err)
{
    char label[LABEL_BYTES], id[LABEL_BYTES], word[16];
    struct err why = {0};
    *ret_held = (struct key_held){0};
    *ret_placed = false;
    if (!text_of(token, key, CKA_LABEL, label) || !key_slot_valid(label))
        return true; /* somebody else's */
    (void)snprintf(ret_held->slot, sizeof ret_held->slot, "%.16s", label);
    if (!text_of(token, key, CKA_ID, id) ||
        sscanf(id, "muster %2s %c %c %u %15s", ret_held->usage, &ret_held->algorithm,
               &ret_held->mode, &ret_held->key_version, word) != 5 ||
        !key_kcv_method(word, &ret_held->kcv_method))
        return true;
    *ret_placed = true;
    ret_held->versioned = true;
    return keytoken_kcv(token, key, ret_held->kcv_method, ret_held->kcv, &ret_held->kcv_length,
                        &why) ||
           why.code == ERR_REFUSED || err_set(err, why.code, "%s", why.text);
}
