# SPDX-License-Identifier: Apache-2.0
# bw_all: every folder of src/ at once. batchwise::batchwise: the public shared library, src/api and
# all that it stands on; only what include/batchwise marks BATCHWISE_API is visible in it.
get_property(folders GLOBAL PROPERTY BATCHWISE_FOLDERS)
add_library(bw_all INTERFACE)
target_link_libraries(bw_all INTERFACE ${folders})

file(GLOB api_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/api/*.cc)
list(FILTER api_sources EXCLUDE REGEX "_test\\.cc$")
if(api_sources)
  add_library(batchwise SHARED ${api_sources})
  add_library(batchwise::batchwise ALIAS batchwise)
  set_source_files_properties(src/api/process.cc PROPERTIES
                              COMPILE_DEFINITIONS "BATCHWISE_VERSION=\"${PROJECT_VERSION}\"")
  target_link_libraries(batchwise PRIVATE ${folders})
  target_include_directories(batchwise INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(batchwise INTERFACE cxx_std_20)
  set_target_properties(batchwise PROPERTIES VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
endif()
