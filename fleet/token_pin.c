/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/token_internal.h"

#include "base/file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
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

/* Key by key, so that the terminal is put back as it was whatever is typed. False: given up. */
static bool read_keys(int tty, char ret_pin[TOKEN_PIN_BYTES])
{
    enum { INTERRUPT = 3, END = 4, BACKSPACE = 8, KILL = 21, DELETE = 127 };
    size_t length = 0;
    char key = 0;
    while (read(tty, &key, 1) == 1 && key != INTERRUPT && key != END) {
        if (key == '\r' || key == '\n') {
            ret_pin[length] = '\0';
            return length > 0;
        }
        if (key == KILL)
            length = 0;
        else if (key == BACKSPACE || key == DELETE)
            length -= length > 0;
        else if (length < TOKEN_PIN_BYTES - 1)
            ret_pin[length++] = key;
    }
    return false;
}

/* The terminal stops to show what is typed before anybody is asked to type. */
static bool ask_on(int tty, const char *label, char ret_pin[TOKEN_PIN_BYTES])
{
    struct termios shown, hidden;
    if (tcgetattr(tty, &shown) < 0)
        return false;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
    hidden.c_cc[VMIN] = 1;
    hidden.c_cc[VTIME] = 0;
    if (tcsetattr(tty, TCSAFLUSH, &hidden) < 0)
        return false;
    bool ok = dprintf(tty, "PIN of the token \"%s\": ", label) > 0 && read_keys(tty, ret_pin);
    (void)tcsetattr(tty, TCSAFLUSH, &shown);
    (void)dprintf(tty, "\n");
    return ok;
}

static bool ask(const struct token *token, char ret_pin[TOKEN_PIN_BYTES], struct err *err)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(err, ERR_INVALID,
                       "the token \"%s\" wants a PIN and there is no terminal to ask on: add "
                       "?pin-source=FILE to the URI, or set %s",
                       token->label, variable);
    bool ok = ask_on(tty, token->label, ret_pin);
    (void)close(tty);
    return ok || err_set(err, ERR_INVALID, "no PIN was given for the token \"%s\"", token->label);
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
