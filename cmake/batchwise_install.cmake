# SPDX-License-Identifier: Apache-2.0
# cmake --install: headers, libbatchwise.so, the command line, and the package that
# find_package(batchwise) finds.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/batchwise DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/NOTICE
        DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TARGET batchwise)
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/batchwise)
  install(TARGETS batchwise EXPORT batchwise_targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT batchwise_targets NAMESPACE batchwise:: FILE batchwiseTargets.cmake
          DESTINATION ${package_dir})
  configure_package_config_file(
    ${CMAKE_SOURCE_DIR}/cmake/batchwiseConfig.cmake.in ${CMAKE_BINARY_DIR}/batchwiseConfig.cmake
    INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/batchwiseConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/batchwiseConfig.cmake
                ${CMAKE_BINARY_DIR}/batchwiseConfigVersion.cmake
          DESTINATION ${package_dir})
endif()

if(TARGET batchwise_grpc)
  install(TARGETS batchwise_grpc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()

if(TARGET batchwise_cli)
  install(TARGETS batchwise_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
