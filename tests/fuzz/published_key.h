/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_PUBLISHED_KEY_H
#define TESTS_FUZZ_PUBLISHED_KEY_H

/* Published: RFC 8032, section 7.1, test 2. The seeds are signed with it. */
#define PUBLISHED_SECRET "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
#define PUBLISHED_PUBLIC "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"

/* RFC 8410: what stands before the raw key in SubjectPublicKeyInfo and in PKCS #8. */
#define SPKI_PREFIX "302a300506032b6570032100"
#define PKCS8_PREFIX "302e020100300506032b657004220420"

/* The only thing ever signed with it for unseal. */
#define PUBLISHED_BODY "the body"

#endif
