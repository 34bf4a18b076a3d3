/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_PACKAGE_H
#define PROTO_PACKAGE_H

#include "base/err.h"
#include "proto/desired.pb-c.h"

#include <stdint.h>

/*
 * Applications and firmware: packages that an installer takes, and how long a document's content
 * may be. Whoever signs, musterd and the terminal hold them to the same.
 */
enum { PACKAGE_VERSION_CHARS = 64, PACKAGE_MODEL_CHARS = 32 };

bool package_kind(Muster__DocumentKind kind);

/* What the header says of a package: the version that the terminal is to report, and the model that
 * it is for ("": any). Of another document: neither. ERR_INVALID. */
bool package_header_check(const Muster__DocumentHeader *header, struct err *err) MUSTER_CHECK;
/* [A-Za-z0-9][A-Za-z0-9.+_~:-]{0,63}: it is an argument of the installer's hook. */
bool package_version_valid(const char *version);

/* Whether two that state these models may come to one terminal; "": any. */
bool package_models_meet(const char *a, const char *b);

/* Bytes of content: what has a form that is looked at, or is sealed, is held in memory as a whole;
 * files and packages stream. */
uint64_t document_length_max(Muster__DocumentKind kind, bool sealed);

#endif
