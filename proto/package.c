/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/package.h"

#include "proto/limits.h"
#include "proto/refusal.h"

#include <ctype.h>
#include <string.h>

bool package_kind(Muster__DocumentKind kind)
{
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION ||
           kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE;
}

static bool is_ascii_word(const char *text, size_t most, const char *besides)
{
    size_t length = strlen(text);
    if (length == 0 || length > most)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c > '~' || (!isalnum(c) && (i == 0 || strchr(besides, (char)c) == NULL)))
            return false;
    }
    return true;
}

bool package_version_valid(const char *version)
{
    return is_ascii_word(version, PACKAGE_VERSION_CHARS, ".+_~:-");
}

/* As people write model names: "P2 Pro". */
static bool model_valid(const char *model)
{
    return model[0] == '\0' || is_ascii_word(model, PACKAGE_MODEL_CHARS, " .+_/-");
}

bool package_header_check(const Muster__DocumentHeader *header, struct err *err)
{
    if (!package_kind(header->kind))
        return (header->package_version[0] == '\0' && header->model[0] == '\0') ||
               refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "%s: only an application or firmware has a package version or a model",
                      header->name);
    if (header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_SCOPE, ERR_REFUSED,
                      "%s: a package is the same for everybody, and never sealed", header->name);
    if (!package_version_valid(header->package_version))
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                      "%s: its package version is not [A-Za-z0-9][A-Za-z0-9.+_~:-]{0,63}",
                      header->name);
    return model_valid(header->model) ||
           refuse(err, MUSTER__REFUSAL__REFUSAL_MALFORMED, ERR_INVALID,
                  "%s: the model that it is for is not [A-Za-z0-9][A-Za-z0-9 .+_/-]{0,31}",
                  header->name);
}

bool package_models_meet(const char *a, const char *b)
{
    return a[0] == '\0' || b[0] == '\0' || strcmp(a, b) == 0;
}

uint64_t document_length_max(Muster__DocumentKind kind, bool sealed)
{
    if (sealed)
        return LIMIT_SEALED_BYTES;
    return kind == MUSTER__DOCUMENT_KIND__DOCUMENT_FILE || package_kind(kind)
               ? LIMIT_CONTENT_BYTES
               : LIMIT_DOCUMENT_BYTES;
}
