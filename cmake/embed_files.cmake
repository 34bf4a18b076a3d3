# SPDX-License-Identifier: Apache-2.0
# Script of muster_embed (embed.cmake): writes OUT from FILES, separated by '|'.
string(REPLACE "|" ";" files "${FILES}")
set(texts "")
set(names "")
set(count 0)
foreach(file ${files})
  file(READ ${file} content HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" content "${content}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," content "${content}")
  get_filename_component(base ${file} NAME)
  string(APPEND texts "static const char text_${count}[] = {\n${content}0};\n")
  string(APPEND names "\"${base}\", ")
  list(APPEND list "text_${count}")
  math(EXPR count "${count} + 1")
endforeach()
string(REPLACE ";" ", " list "${list}")
file(WRITE ${OUT} "/* Made by cmake/embed_files.cmake. */\n${texts}
extern const char *const ${NAME}[];
extern const char *const ${NAME}_names[];
extern const unsigned ${NAME}_count;
const char *const ${NAME}[] = {${list}};
const char *const ${NAME}_names[] = {${names}};
const unsigned ${NAME}_count = ${count};
")
