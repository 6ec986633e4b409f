// Arguments: what the command line and the configuration file say.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cutils/result.h"
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
    std::string tls_client_auth = "none", tls_min = "1.2";
    double io_timeout = 30;
    double idle_timeout = 60;
    double head_timeout = 10;
    double drain_timeout = 30;
    double drain_delay = 0;
    double stall_limit = 0;
    std::string socket_mode;
    std::string access_log_format{to_string(AccessLogFormat::common)};
    std::string status, metrics, health;  // paths; empty: none
    std::string trust;                    // networks
    std::string when_full = "wait";
    std::size_t max_unsent = 512;  // MiB
    bool forwarded = false;
    std::vector<std::string> hosts, servlets, filters;  // see plugin_spec.h
    std::vector<std::string> cors;
    std::string auth_file, auth_realm = "restricted", rate_limit;
    bool security_headers = false, request_id = false;
};

// One line on stderr, whatever it has to say; the exit code.
int complain(std::string text);
// What an error says to a user: our own words alone, where there are some; else also the system's.
std::string words(const cutils::Error& error);

inline std::chrono::milliseconds to_milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<long long>(seconds * 1000));
}

}  // namespace webby::program
