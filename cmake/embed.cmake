# SPDX-License-Identifier: Apache-2.0
# muster_embed(TARGET NAME files...): compiles the files into TARGET as
#   const char *const NAME[]; const char *const NAME_names[]; const unsigned NAME_count;
# in the order given, each a NUL-ended text. Declare them `extern` where they are used.
function(muster_embed target name)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
  set(paths)
  foreach(file ${ARGN})
    list(APPEND paths ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  string(REPLACE ";" "|" joined "${paths}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${joined}"
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${paths} ${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
