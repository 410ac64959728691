# SPDX-License-Identifier: Apache-2.0
# Compiler settings, dependencies and the function that every folder is built with.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
# Debug serves the sanitizers: asserts on, fast enough for every test.
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -D_GLIBCXX_ASSERTIONS")

option(BATCHWISE_TESTS "build the tests" ON)
option(BATCHWISE_FUZZ "build the fuzz targets (clang)" OFF)
option(BATCHWISE_BENCH "build the benchmarks (needs oneDNN for comparison)" ON)
set(BATCHWISE_SANITIZE "" CACHE STRING "sanitizers, such as address,undefined or thread")

find_program(BATCHWISE_CCACHE ccache)
if(BATCHWISE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${BATCHWISE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BATCHWISE_CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)

add_library(bw_flags INTERFACE)
# A fused multiply-add is written, never guessed: bits must not depend on the compiler's taste.
target_compile_options(bw_flags INTERFACE -Wall -Wextra -Werror -Wshadow -Wno-missing-field-initializers -ffp-contract=off
                                          -fno-math-errno)
target_include_directories(bw_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(bw_flags INTERFACE Threads::Threads fmt::fmt)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(bw_flags INTERFACE -Wthread-safety)
endif()
if(BATCHWISE_SANITIZE)
  target_compile_options(bw_flags INTERFACE -fsanitize=${BATCHWISE_SANITIZE}
                                            -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bw_flags INTERFACE -fsanitize=${BATCHWISE_SANITIZE})
endif()

# bw_folder(NAME [LIBRARIES ...]): a static library bw_NAME of the folder's *.cc, and, from its
# *_test.cc, a test program NAME_test. NAME has "_" where the path has "/".
function(bw_folder name)
  cmake_parse_arguments(arg "" "" "LIBRARIES;TEST_LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  file(GLOB tests CONFIGURE_DEPENDS *_test.cc)
  if(tests)
    list(REMOVE_ITEM sources ${tests})
  endif()
  if(sources)
    add_library(bw_${name} STATIC ${sources})
    target_link_libraries(bw_${name} PUBLIC bw_flags ${arg_LIBRARIES})
  else()
    add_library(bw_${name} INTERFACE)
    target_link_libraries(bw_${name} INTERFACE bw_flags ${arg_LIBRARIES})
  endif()
  set_property(GLOBAL APPEND PROPERTY BATCHWISE_FOLDERS bw_${name})
  if(tests AND BATCHWISE_TESTS)
    bw_test(${name}_test SOURCES ${tests} LIBRARIES bw_${name} ${arg_TEST_LIBRARIES})
  endif()
endfunction()
