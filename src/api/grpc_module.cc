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

// It stays open until the process ends: gRPC's threads cannot be waited for.
void* module_symbol(const char* symbol) {
  const std::string path = module_path();
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (module == nullptr) fail_environment("--grpc", "the module cannot be opened: {}", dlerror());
  void* const found = dlsym(module, symbol);
  if (found == nullptr) fail_environment("--grpc", "{} has no {}", path, symbol);
  return found;
}

}  // namespace

std::unique_ptr<serve::Frontend> open_grpc_frontend(serve::Server& server,
                                                    const serve::GrpcOptions& options) {
  const auto make =
      reinterpret_cast<serve::MakeGrpcFrontend>(module_symbol(serve::kGrpcFrontendSymbol));
  return std::unique_ptr<serve::Frontend>(make(server, options));
}

std::unique_ptr<InferClient> open_grpc_client(const ClientOptions& options) {
  const auto make = reinterpret_cast<MakeInferClient>(module_symbol(kMakeGrpcClientName));
  return std::unique_ptr<InferClient>(make(options));
}

}  // namespace batchwise
