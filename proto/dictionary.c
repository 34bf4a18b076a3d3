/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dictionary.h"

#include "proto/unpack.h"

/* MUSTER_DICTIONARY_DIR is set by CMake. */
__asm__(".pushsection .rodata\n"
        ".globl muster_dictionary_1\n"
        ".globl muster_dictionary_1_end\n"
        "muster_dictionary_1:\n"
        ".incbin \"" MUSTER_DICTIONARY_DIR "/1.pb\"\n"
        "muster_dictionary_1_end:\n"
        ".popsection\n");
extern const uint8_t muster_dictionary_1[], muster_dictionary_1_end[];

bool dictionary_known(uint32_t version, struct err *err)
{
    return version == DICTIONARY_NEWEST ||
           err_set(err, ERR_NEWER,
                   "dictionary %u is not known here, 1 to %d are: the sender is newer; update "
                   "this program first",
                   version, DICTIONARY_NEWEST);
}

bool dictionary_find(uint32_t version, struct arena *arena, const Muster__Dictionary **ret_found,
                     struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = 64 * 1024, .max_elements = 4096};
    ProtobufCMessage *message = NULL;
    if (!dictionary_known(version, err))
        return false;
    struct bytes file =
        bytes_of(muster_dictionary_1, (size_t)(muster_dictionary_1_end - muster_dictionary_1));
    if (!unpack(&muster__dictionary__descriptor, file, &limits, arena, &message, err))
        return err_context(err, "dictionary %u", version);
    *ret_found = (const Muster__Dictionary *)message;
    return true;
}
