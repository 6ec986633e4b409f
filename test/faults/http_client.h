// What the scenarios of webby have as their client: a request a connection, and a close look at what comes
// back.
#pragma once

#include <string>
#include <string_view>

#include "evcorothread/tls_context.h"
#include "nutils/sock_addr.h"
#include "test/faults/scenario.h"

namespace faults {

// What is asked, and how the body of a 2xx must end.
struct Question {
    std::string target;
    std::string ending;
    std::string method = "GET";
    std::string fields{};
    std::string body{};
};

// Asks on a connection of its own; with `trust` under TLS. An answer that is cut, a 5xx, no answer at all:
// said. A wrong one is wrong, and so is a 4xx for what is there, unless that is what the failing call says.
// Returns the head.
std::string ask(const Life& life, EvLoop& loop, const nutils::SockAddr& server, const Question& question,
                const evcorothread::TlsContext* trust = nullptr);

}  // namespace faults
