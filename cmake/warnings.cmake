# SPDX-License-Identifier: Apache-2.0
# One interface target carries how everything of ours is compiled.
add_library(muster_options INTERFACE)
target_compile_definitions(muster_options INTERFACE _GNU_SOURCE MUSTER_VERSION="${PROJECT_VERSION}")
target_compile_options(muster_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wundef -fstack-protector-strong -fno-common)
target_include_directories(muster_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_link_options(muster_options INTERFACE -Wl,-z,relro,-z,now)
if(MUSTER_SANITIZE)
  target_compile_options(muster_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(muster_options INTERFACE -fsanitize=address,undefined)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(muster_options INTERFACE _FORTIFY_SOURCE=2)
endif()
if(MUSTER_FUZZ)
  target_compile_options(muster_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
