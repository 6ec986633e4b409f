// What the program serves.
#pragma once

#include <optional>

#include "cutils/result.h"
#include "webby/program/arguments.h"
#include "webby/program/password_file.h"
#include "webby/program/plugins.h"

namespace webby::program {

// What the server's servlets and filters need. Lifetime: longer than the server's.
struct Loaded {
    Plugins plugins;
    std::optional<PasswordFile> passwords;
};

// Fills the server: filters, plugins, hosts, pages, the folder.
[[nodiscard]] cutils::Result<void> fill(Server& server, const Arguments& arguments, Loaded& loaded);

}  // namespace webby::program
