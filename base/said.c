/* SPDX-License-Identifier: Apache-2.0 */
#include "base/said.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

void said_line(const char *output, char *ret_line, size_t size)
{
    while (*output != '\0' && is_blank(*output))
        output++;
    size_t length = strcspn(output, "\r\n");
    if (length > size - 1)
        length = size - 1;
    while (length > 0 && is_blank(output[length - 1]))
        length--;
    memcpy(ret_line, output, length);
    ret_line[length] = '\0';
    for (char *c = ret_line; *c != '\0'; c++)
        if (is_blank(*c))
            *c = ' ';
    utf8_clean(ret_line);
}
