# SPDX-License-Identifier: Apache-2.0
# libbatchwise_grpc.so: what speaks gRPC, server and client, a module of its own beside
# libbatchwise.so. Only what opens it maps gRPC and its dependencies. Included after bw_all, so that
# its folders are no part of the library.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)

add_subdirectory(src/inference_proto)
add_subdirectory(src/client/grpc)
add_subdirectory(src/serve/grpc)

if(TARGET batchwise)
  set(symbols ${CMAKE_CURRENT_BINARY_DIR}/batchwise_grpc.map)
  file(WRITE ${symbols} "{ global: batchwise_make_grpc_frontend; batchwise_make_grpc_client; local: *; };\n")
  add_library(batchwise_grpc MODULE src/serve/grpc/module/frontend_module.cc
                                    src/client/grpc/module/client_module.cc)
  target_link_libraries(batchwise_grpc PRIVATE bw_serve_grpc bw_client_grpc batchwise)
  target_link_options(batchwise_grpc PRIVATE -Wl,--version-script=${symbols})
  set_target_properties(batchwise_grpc PROPERTIES LINK_DEPENDS ${symbols}
                                                  INSTALL_RPATH "$ORIGIN")
endif()
