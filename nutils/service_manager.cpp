#include "nutils/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "cutils/log.h"
#include "nutils/sock_addr.h"

namespace nutils {
namespace {

constexpr int kFirstPassed = 3;
constexpr int kMostPassed = 1024;  // beyond that, the number is a mistake
// Beyond that it is none: nanoseconds could not say it.
constexpr auto kLongestWatchdog =
    std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::nanoseconds::max());

std::string_view variable(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::optional<long long> number(std::string_view text) {
    long long value = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (text.empty() || read.ec != std::errc() || read.ptr != end) return {};
    return value;
}

std::string_view next_name(std::string_view& names) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    return name;
}

int how_many_passed() {
    const std::string_view text = variable("LISTEN_FDS");
    const std::optional<long long> count = number(text);
    if (count && *count >= 0 && *count <= kMostPassed) return static_cast<int>(*count);
    cutils::log(cutils::LogLevel::warning,
                "LISTEN_FDS=\"%.*s\" is no number of sockets between 0 and %d: none is taken",
                static_cast<int>(std::min<std::size_t>(text.size(), 40)), text.data(), kMostPassed);
    return 0;
}

// A text of one line: a status must not be able to say more than that.
std::string one_line(std::string_view text) {
    std::string line(text);
    for (char& c : line)
        if (c == '\n') c = ' ';
    return line;
}

}  // namespace

std::vector<PassedSocket> take_passed_sockets() {
    std::vector<PassedSocket> passed;
    if (number(variable("LISTEN_PID")) == ::getpid()) {
        const std::string all_names(variable("LISTEN_FDNAMES"));
        std::string_view names = all_names;
        const int end = kFirstPassed + how_many_passed();
        for (int fd = kFirstPassed; fd < end; ++fd) {
            std::string name(next_name(names));
            if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
                passed.push_back({UniqueFd(fd), std::move(name)});
            else
                cutils::log(cutils::LogLevel::warning,
                            "LISTEN_FDS counts descriptor %d, which is not there: it is left out", fd);
        }
    }
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
    return passed;
}

ServiceNotifier ServiceNotifier::from_environment() {
    ServiceNotifier manager{std::string(variable("NOTIFY_SOCKET"))};
    const std::optional<long long> micros = number(variable("WATCHDOG_USEC"));
    const std::string_view pid = variable("WATCHDOG_PID");
    if (micros && *micros > 0 && *micros <= kLongestWatchdog.count() &&
        (pid.empty() || number(pid) == ::getpid()))
        manager.watchdog_ = std::chrono::microseconds(*micros);
    return manager;
}

cutils::Result<void> ServiceNotifier::notify(std::string_view state) const {
    if (!is_heard()) return {};
    const cutils::Result<SockAddr> address = SockAddr::unix_path(socket_);
    if (!address) return address.error();
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return cutils::Error::from_errno("socket");
    if (::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL, address->data(), address->size()) <
        0)
        return cutils::Error::from_errno("NOTIFY_SOCKET " + socket_);
    return {};
}

cutils::Result<void> ServiceNotifier::ready(std::string_view status) const {
    return notify(status.empty() ? "READY=1" : "READY=1\nSTATUS=" + one_line(status));
}

// Type=notify-reload wants to know when it began.
cutils::Result<void> ServiceNotifier::reloading() const {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const long long micros = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
    return notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(micros));
}

cutils::Result<void> ServiceNotifier::stopping() const { return notify("STOPPING=1"); }
cutils::Result<void> ServiceNotifier::status(std::string_view text) const {
    return notify("STATUS=" + one_line(text));
}
cutils::Result<void> ServiceNotifier::alive() const { return notify("WATCHDOG=1"); }

}  // namespace nutils
