/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_EMV_TABLES_H
#define PROTO_EMV_TABLES_H

#include "base/buf.h"

/*
 * The tables that a terminal's EMV kernel reads, checked by whoever signs one and by the terminal.
 * Columns may stand in any order and others beside them; hexadecimal digits of either case.
 * ERR_INVALID names row and column.
 *
 *   AID list   aid (5 to 16 bytes, ISO/IEC 7816-4), each once; where they are there: partial (0 or
 *              1: may be longer on the card), version (2 bytes, tag 9F09), tac_default, tac_denial,
 *              tac_online (5 bytes)
 *   CA keys    rid (5 bytes), index (1 byte, tag 9F22), modulus (96 to 248 bytes), exponent (3 or
 *              65537: EMV Book 2, annex B2.1), each rid and index once; where they are there: bits
 *              (of the modulus), sha1 (over RID, index, modulus and exponent: EMV's Certification
 *              Authority Public Key Check Sum), expiry (YYMMDD)
 *
 * A modulus begins with a one bit and an exponent with no zeros: kernels go by their lengths.
 *
 * Only rid, index, modulus and exponent of a row and the AID must be filled in.
 */
bool aid_list_check(struct bytes content, struct err *err) MUSTER_CHECK;
bool ca_keys_check(struct bytes content, struct err *err) MUSTER_CHECK;

#endif
