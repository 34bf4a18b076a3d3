/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/token_internal.h"

#include "base/file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char variable[] = "MUSTERCTL_PIN";

/* The first line of what a person or a program wrote. */
static bool take_line(struct bytes text, char ret_pin[TOKEN_PIN_BYTES], struct err *err)
{
    const uint8_t *end = text.length == 0 ? NULL : memchr(text.data, '\n', text.length);
    size_t length = end == NULL ? text.length : (size_t)(end - text.data);
    if (length == 0 || length >= TOKEN_PIN_BYTES)
        return err_set(err, ERR_INVALID, "its first line is not a PIN");
    memcpy(ret_pin, text.data, length);
    ret_pin[length] = '\0';
    return true;
}

static bool pin_of_file(const char *source, char ret_pin[TOKEN_PIN_BYTES], struct err *err)
{
    static const char scheme[] = "file:";
    if (strncmp(source, scheme, sizeof scheme - 1) == 0)
        source += sizeof scheme - 1;
    if (strncmp(source, "//", 2) == 0)
        source += 2;
    struct buf text = {0};
    bool ok = file_read(source, 4096, &text, err) && take_line(buf_bytes(&text), ret_pin, err);
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.length);
    buf_done(&text);
    return ok || err_context(err, "pin-source %s", source);
}

static bool ask(const struct token *token, char ret_pin[TOKEN_PIN_BYTES], struct err *err)
{
    char prompt[80];
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(err, ERR_INVALID,
                       "the token \"%s\" wants a PIN and there is no terminal to ask on: add "
                       "?pin-source=FILE to the URI, or set %s",
                       token->label, variable);
    (void)close(tty);
    (void)snprintf(prompt, sizeof prompt, "PIN of the token \"%s\": ", token->label);
    return EVP_read_pw_string(ret_pin, TOKEN_PIN_BYTES - 1, prompt, 0) == 0 ||
           err_set(err, ERR_INVALID, "no PIN was given for the token \"%s\"", token->label);
}

bool token_pin(const struct token *token, char ret_pin[TOKEN_PIN_BYTES], struct err *err)
{
    const char *source = p11_kit_uri_get_pin_source(token->uri);
    const char *given = getenv(variable);
    if (source != NULL)
        return pin_of_file(source, ret_pin, err);
    if (given != NULL && given[0] != '\0')
        return take_line(bytes_of(given, strlen(given)), ret_pin, err) ||
               err_context(err, "%s", variable);
    return ask(token, ret_pin, err);
}
