# SPDX-License-Identifier: Apache-2.0
# muster_embed_bytes(TARGET NAME file): compiles a file of any bytes into TARGET as
#   const unsigned char NAME[]; const size_t NAME_bytes;
# Declare them `extern` where they are used.
function(muster_embed_bytes target name file)
  set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} content HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," content "${content}")
  string(REGEX REPLACE "(................................................................................)"
    "\\1\n" content "${content}")
  file(CONFIGURE OUTPUT ${out} CONTENT "/* Made from ${file}. */
#include <stddef.h>
extern const unsigned char ${name}[];
extern const size_t ${name}_bytes;
const unsigned char ${name}[] = {
${content}};
const size_t ${name}_bytes = sizeof ${name};
" @ONLY)
  target_sources(${target} PRIVATE ${out})
endfunction()
