// What a connection or a request is told for which there is no place. Internal.
#pragma once

#include <string_view>

namespace webby {

inline constexpr std::string_view kFullAnswer =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 47\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\nThe server is busy. Please try again in a while";

static_assert(kFullAnswer.substr(kFullAnswer.find("\r\n\r\n") + 4).size() == 47);

// Refused connections may wait for their clients to close, so many beyond ServerOptions::max_connections.
inline constexpr std::size_t kMostRefused = 1000;

}  // namespace webby
