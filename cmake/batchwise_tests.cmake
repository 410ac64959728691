# SPDX-License-Identifier: Apache-2.0
# The functions that tests are made with, and the list of those that use threads.

# The thread sanitizer runs these; ./dev tsan builds nothing else. Those of gRPC are not among them:
# the system's gRPC is not instrumented, so that what it orders looks like races.
set(BATCHWISE_THREADED_TESTS base_test data_test engine_test fit_test predict_test backend_cpu_test
                             serve_test serve_http_test client_test tune_test study_test
                             threads_test)

# bw_test(NAME SOURCES ... [LIBRARIES ...] [LABELS ...]): a GoogleTest program, each of its tests
# known to ctest. Tests run in the repository's root. The label release_only keeps a test that is
# too slow, or meaningless, under a sanitizer out of ./dev asan.
function(bw_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} bw_flags GTest::gmock GTest::gtest_main)
  set(labels ${arg_LABELS})
  if(name IN_LIST BATCHWISE_THREADED_TESTS)
    list(APPEND labels threads)
  endif()
  set(label_property)
  if(labels)
    # A list does not survive the way to the discovered tests; one label each does.
    string(REPLACE ";" "\\;" labels "${labels}")
    set(label_property LABELS "${labels}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 NO_PRETTY_VALUES
                       WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                       PROPERTIES TIMEOUT 600 ${label_property})
endfunction()

# Called once, after all folders: the target that builds the tests with threads.
function(bw_finish_tests)
  add_custom_target(threaded_tests)
  foreach(name ${BATCHWISE_THREADED_TESTS})
    if(TARGET ${name})
      add_dependencies(threaded_tests ${name})
    endif()
  endforeach()
endfunction()

if(BATCHWISE_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  include(GoogleTest)
endif()
