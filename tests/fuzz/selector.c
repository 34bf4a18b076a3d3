/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors as people write them, asked about a device: its facts, two lines each, up to an empty
 * line. A term and its opposite never both hold. */
#include "fleet/selector.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

enum { FACTS_MAX = 8 };

static bool in_group(void *ctx, const char *group)
{
    (void)ctx;
    return strlen(group) % 2 == 0;
}

static size_t read_facts(char **rest, struct selector_fact facts[FACTS_MAX])
{
    size_t count = 0;
    while (count < FACTS_MAX) {
        const char *field = strsep(rest, "\n"), *value = NULL;
        if (field == NULL || field[0] == '\0' || (value = strsep(rest, "\n")) == NULL)
            break;
        facts[count++] = (struct selector_fact){field, value};
    }
    return count;
}

/* The n-th term alone, as it was read and the other way round. */
static void check_term(const struct selector *whole, size_t term, const struct selector_fact *facts,
                       size_t count)
{
    struct selector one = *whole;
    one.terms[0] = whole->terms[term];
    one.term_count = 1;
    bool holds = selector_holds(&one, facts, count, in_group, NULL);
    one.terms[0].wanted = !one.terms[0].wanted;
    HOLDS(selector_holds(&one, facts, count, in_group, NULL) != holds);
    if (selector_holds(whole, facts, count, in_group, NULL))
        HOLDS(holds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct selector selector;
    struct selector_fact facts[FACTS_MAX];
    struct err err = {0};
    char *text = strndup((const char *)data, size), *rest = text;
    HOLDS(text);
    size_t count = read_facts(&rest, facts);
    const char *asked = rest != NULL ? rest : "";
    if (selector_parse(asked, &selector, &err)) {
        HOLDS(selector.term_count > 0 && selector.term_count <= SELECTOR_TERMS_MAX);
        for (size_t i = 0; i < selector.term_count; i++) {
            HOLDS(selector_group_valid(selector_field(&selector, i)));
            check_term(&selector, i, facts, count);
        }
    } else {
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    }
    free(text);
    return 0;
}
