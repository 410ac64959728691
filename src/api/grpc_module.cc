// SPDX-License-Identifier: Apache-2.0
#include "api/grpc_module.h"

#include <dlfcn.h>

#include <filesystem>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr const char* kModule = "libbatchwise_grpc.so";

// Beside the library that this function lies in.
std::string module_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&open_grpc_frontend), &info) == 0 ||
      info.dli_fname == nullptr) {
    return kModule;
  }
  std::error_code ignored;
  const auto library = std::filesystem::canonical(info.dli_fname, ignored);
  return (library.parent_path() / kModule).string();
}

}  // namespace

std::unique_ptr<serve::Frontend> open_grpc_frontend(serve::Server& server,
                                                    const serve::GrpcOptions& options) {
  const std::string path = module_path();
  // It stays open until the process ends: gRPC's threads cannot be waited for.
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (module == nullptr) fail_environment("--grpc", "the module cannot be opened: {}", dlerror());
  void* const found = dlsym(module, serve::kGrpcFrontendSymbol);
  if (found == nullptr) {
    fail_environment("--grpc", "{} has no {}", path, serve::kGrpcFrontendSymbol);
  }
  const auto make = reinterpret_cast<serve::MakeGrpcFrontend>(found);
  return std::unique_ptr<serve::Frontend>(make(server, options));
}

}  // namespace batchwise
