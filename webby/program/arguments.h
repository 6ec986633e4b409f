// Arguments: what the command line and the configuration file say.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "webby/files_options.h"
#include "webby/server.h"

namespace webby::program {

inline constexpr int kUsageError = 2;

struct Arguments {
    ServerOptions server;
    std::string root = ".";
    FilesOptions files;
    std::string paradigm{to_string(Paradigm::coroutine)};
    std::vector<std::string> certificates, keys;
    double io_timeout = 30;
    double idle_timeout = 60;
    double head_timeout = 10;
    std::string access_log_format{to_string(AccessLogFormat::common)};
    double drain_timeout = 30;
    double drain_delay = 0;
    double stall_limit = 0;
    std::string status, metrics, health;  // paths; empty: none
    std::string trust;                    // networks
    bool forwarded = false;
};

// One line on stderr, whatever it has to say; the exit code.
int complain(std::string text);

inline std::chrono::milliseconds to_milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<long long>(seconds * 1000));
}

}  // namespace webby::program
