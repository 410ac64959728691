// SPDX-License-Identifier: Apache-2.0
#include "serve/http/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

namespace batchwise::serve {
namespace {

using Parts = std::span<const std::string>;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit_of(text[i + 1]), low = digit_of(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

// A part that could leave the folder of a model repository, or hide in a log.
bool is_trick(std::string_view part) {
  if (part == "." || part == "..") return true;
  return std::any_of(part.begin(), part.end(), [](char c) {
    return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

// The path's parts, decoded; nothing where one is not to be had.
std::optional<std::vector<std::string>> split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    auto part = decode(path.substr(0, end));
    if (!part || is_trick(*part)) return std::nullopt;
    parts.push_back(std::move(*part));
    path.remove_prefix(end);
  }
  // "/v2/" is "/v2".
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  return parts;
}

bool is_version(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Endpoint v2_action(Parts rest) {
  if (rest.empty()) return Endpoint::kModelMetadata;
  if (rest.size() == 2 && rest[0] == "trace" && rest[1] == "setting") {
    return Endpoint::kTraceSetting;
  }
  if (rest.size() != 1) return Endpoint::kNone;
  if (rest[0] == "infer") return Endpoint::kInfer;
  if (rest[0] == "ready") return Endpoint::kModelReady;
  if (rest[0] == "config") return Endpoint::kModelConfig;
  if (rest[0] == "stats") return Endpoint::kModelStatistics;
  return Endpoint::kNone;
}

// What follows /v2/models.
void route_v2_model(Parts parts, Route& route) {
  if (parts.empty()) return;
  if (parts.size() == 1 && parts[0] == "stats") {
    route.endpoint = Endpoint::kModelStatistics;
    return;
  }
  route.model = parts[0];
  Parts rest = parts.subspan(1);
  if (rest.size() >= 2 && rest[0] == "versions") {
    if (!is_version(rest[1])) {
      route.fault = fmt::format("a version is a number, not '{}'", rest[1]);
      return;
    }
    route.version = rest[1];
    rest = rest.subspan(2);
  }
  route.endpoint = v2_action(rest);
}

// What follows /v2/repository; the name of a repository may come first, as Triton has it.
void route_repository(Parts parts, Route& route) {
  if (parts.size() == 2 && parts[1] == "index") parts = parts.subspan(1);
  if (parts.size() == 4 && parts[1] == "models") parts = parts.subspan(1);
  if (parts.size() == 1 && parts[0] == "index") route.endpoint = Endpoint::kRepositoryIndex;
  if (parts.size() != 3 || parts[0] != "models") return;
  route.model = parts[1];
  if (parts[2] == "load") route.endpoint = Endpoint::kRepositoryLoad;
  if (parts[2] == "unload") route.endpoint = Endpoint::kRepositoryUnload;
}

// What follows /v2.
void route_v2(Parts parts, Route& route) {
  if (parts.empty()) {
    route.endpoint = Endpoint::kServerMetadata;
  } else if (parts[0] == "models") {
    route_v2_model(parts.subspan(1), route);
  } else if (parts[0] == "repository") {
    route_repository(parts.subspan(1), route);
  } else if (parts[0] == "systemsharedmemory" || parts[0] == "cudasharedmemory") {
    route.endpoint = Endpoint::kSharedMemory;
  } else if (parts.size() == 2 && parts[0] == "health" && parts[1] == "live") {
    route.endpoint = Endpoint::kLive;
  } else if (parts.size() == 2 && parts[0] == "health" && parts[1] == "ready") {
    route.endpoint = Endpoint::kReady;
  } else if (parts.size() == 2 && parts[0] == "trace" && parts[1] == "setting") {
    route.endpoint = Endpoint::kTraceSetting;
  } else if (parts.size() == 1 && parts[0] == "logging") {
    route.endpoint = Endpoint::kLogging;
  }
}

// What follows /v1/models: m[/versions/v][:verb], m[/versions/v]/metadata.
void route_v1(Parts parts, Route& route) {
  if (parts.empty()) return;
  std::vector<std::string> rest(parts.begin(), parts.end());
  std::string verb;
  const std::size_t colon = rest.back().rfind(':');
  if (colon != std::string::npos) {
    verb = rest.back().substr(colon + 1);
    rest.back().resize(colon);
  }
  const bool metadata = verb.empty() && rest.size() > 1 && rest.back() == "metadata";
  if (metadata) rest.pop_back();
  if (rest.size() != 1 && (rest.size() != 3 || rest[1] != "versions")) return;
  route.model = rest[0];
  if (rest.size() == 3) {
    if (!is_version(rest[2])) {
      route.fault = fmt::format("a version is a number, not '{}'", rest[2]);
      return;
    }
    route.version = rest[2];
  }
  if (metadata) {
    route.endpoint = Endpoint::kTfMetadata;
  } else if (verb.empty()) {
    route.endpoint = Endpoint::kTfStatus;
  } else if (verb == "predict") {
    route.endpoint = Endpoint::kTfPredict;
  } else if (verb == "classify" || verb == "regress") {
    route.endpoint = Endpoint::kTfOther;
  }
}

}  // namespace

Route find_route(std::string_view target) {
  Route route;
  const std::string_view path = target.substr(0, target.find_first_of("?#"));
  std::optional<std::vector<std::string>> parts;
  if (path.starts_with('/')) parts = split(path);
  if (!parts) {
    route.fault = fmt::format("'{}' is no path", path.substr(0, 200));
    return route;
  }
  const Parts all(*parts);
  if (all.empty()) {
    route.endpoint = Endpoint::kDashboard;
  } else if (all[0] == "v2") {
    route_v2(all.subspan(1), route);
  } else if (all.size() > 1 && all[0] == "v1" && all[1] == "models") {
    route_v1(all.subspan(2), route);
  } else if (all.size() == 1 && all[0] == "metrics") {
    route.endpoint = Endpoint::kMetrics;
  } else if (all.size() == 1 && all[0] == "openapi.json") {
    route.endpoint = Endpoint::kOpenApi;
  } else if (all.size() == 2 && all[0] == "api" && all[1] == "snapshot") {
    route.endpoint = Endpoint::kSnapshot;
  }
  return route;
}

std::string_view allowed_methods(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kInfer:
    case Endpoint::kRepositoryIndex:
    case Endpoint::kRepositoryLoad:
    case Endpoint::kRepositoryUnload:
    case Endpoint::kTfPredict:
    case Endpoint::kTfOther:
      return "POST";
    case Endpoint::kTraceSetting:
    case Endpoint::kLogging:
    case Endpoint::kSharedMemory:
      return "GET, HEAD, POST";
    default:
      return "GET, HEAD";
  }
}

bool allows(Endpoint endpoint, Method method) {
  const std::string_view methods = allowed_methods(endpoint);
  switch (method) {
    case Method::kGet:
    case Method::kHead:
      return methods.starts_with("GET");
    case Method::kPost:
      return methods.ends_with("POST");
    case Method::kOther:
      return false;
  }
  return false;
}

}  // namespace batchwise::serve
