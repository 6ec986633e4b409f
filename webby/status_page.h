// What Server::status_page() shows, and to whom.
#pragma once

#include <cstddef>
#include <string>

#include "webby/page_access.h"

namespace webby {

struct StatusOptions {
    PageAccess access{};            // loopback, unless said otherwise
    std::string title = "webby";    // which server this is
    std::size_t most_viewers = 20;  // at a time; while it is open, each holds a connection at work: a stack,
                                    // or a thread
};

}  // namespace webby
