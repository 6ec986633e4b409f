#include "webby/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "cutils/log.h"
#include "webby/ascii.h"
#include "webby/http_date.h"

namespace webby {
namespace {

void append_escaped(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (!ascii::is_control(c) && byte < 0x80 && c != '"' && c != '\\') {
            out += c;
        } else {
            out += "\\x";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
}

// "[06/Nov/1994:08:49:37 +0000]", made of "Sun, 06 Nov 1994 08:49:37 GMT".
void append_time(std::string& out, std::time_t when) {
    std::array<char, kHttpDateSize> date;
    write_http_date(when, date.data());
    const std::string_view text(date.data(), date.size());
    out.append("[").append(text.substr(5, 2)).append("/").append(text.substr(8, 3)).append("/");
    out.append(text.substr(12, 4)).append(":").append(text.substr(17, 8)).append(" +0000]");
}

std::string peer_name(const Request& request) {
    const nutils::SockAddr peer = request.client().address;
    if (peer.is_ip()) return peer.ip().to_string();
    return peer.is_unix() ? "unix:" : "-";
}

}  // namespace

cutils::Result<AccessLog> AccessLog::open(const std::string& path) {
    nutils::UniqueFd file(path == "-"
                              ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                              : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!file) return cutils::Error::from_errno("access log " + path);
    return AccessLog(std::move(file));
}

cutils::Result<AccessLog> AccessLog::duplicate() const {
    nutils::UniqueFd file(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 3));
    if (!file) return cutils::Error::from_errno("access log");
    return AccessLog(std::move(file));
}

void AccessLog::format(std::string& out, std::string_view peer, std::string_view method,
                       std::string_view target, Version version, Status status, std::uint64_t body_bytes,
                       std::time_t when) {
    out.append(peer).append(" - - ");
    append_time(out, when);
    out += " \"";
    if (method.empty()) {
        out += '-';
    } else {
        append_escaped(out, method);
        out += ' ';
        append_escaped(out, target);
        out.append(" ").append(to_string(version));
    }
    out.append("\" ")
        .append(std::to_string(to_number(status)))
        .append(" ")
        .append(std::to_string(body_bytes));
}

void AccessLog::add(const Request& request, Status status, std::uint64_t body_bytes, std::time_t when) {
    format(lines_, peer_name(request), request.method_name(), request.target(), request.version(), status,
           body_bytes, when);
    lines_ += '\n';
    if (lines_.size() >= kFlushAt) flush();
}

void AccessLog::flush() {
    for (std::size_t done = 0; done < lines_.size();) {
        const ssize_t written = ::write(file_.get(), lines_.data() + done, lines_.size() - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            if (!std::exchange(complained_, true))
                cutils::log(cutils::LogLevel::warning, "access log: %s; lines are dropped",
                            std::strerror(errno));
            break;
        }
        done += static_cast<std::size_t>(written);
    }
    lines_.clear();
}

}  // namespace webby
