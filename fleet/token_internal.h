/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_TOKEN_INTERNAL_H
#define FLEET_TOKEN_INTERNAL_H

#include "fleet/token.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

/* A session with the one token that a URI names. */
struct token {
    P11KitUri *uri;
    CK_FUNCTION_LIST **modules; /* all that p11-kit knows, or NULL: */
    CK_FUNCTION_LIST *named;    /* the one of the URI's module-path */
    CK_FUNCTION_LIST *module;   /* whose token it is */
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session; /* 0: none */
    char label[33];
};

enum { TOKEN_PIN_BYTES = 256 };

bool token_open(struct token *token, const char *uri, bool to_write, struct err *err) MUSTER_CHECK;
void token_close(struct token *token);
/* Does nothing where the token asks for no PIN. */
bool token_login(struct token *token, struct err *err) MUSTER_CHECK;
/* The one object of this class that the URI names. */
bool token_find(struct token *token, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *ret_object,
                struct err *err) MUSTER_CHECK;
/* The public half of the key that the URI names, from the token's public object. */
bool token_public(struct token *token, struct verify_key **ret_key, struct err *err) MUSTER_CHECK;
/* Says what the token refused; false. */
bool token_err(const struct token *token, struct err *err, CK_RV rv, const char *what);

/* The PIN for the token: `*ret_pin` has it, NUL-terminated; the caller cleanses it. */
bool token_pin(const struct token *token, char ret_pin[TOKEN_PIN_BYTES],
               struct err *err) MUSTER_CHECK;

#endif
