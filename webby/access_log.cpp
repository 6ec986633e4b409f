#include "webby/access_log.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cutils/log.h"
#include "nutils/sigpipe_guard.h"

namespace webby {
namespace {

std::string peer_name(const Request& request) {
    const nutils::SockAddr peer = request.client_address();
    if (peer.is_ip()) return peer.ip().to_string();
    return peer.is_unix() ? "unix:" : "-";
}

nutils::UniqueFd open_file(const std::string& path) {
    return nutils::UniqueFd(path == "-"
                                ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                                : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
}

}  // namespace

cutils::Result<AccessLogFile> AccessLogFile::open(const std::string& path) {
    nutils::UniqueFd file = open_file(path);
    if (!file) return cutils::Error::from_errno("access log " + path);
    return AccessLogFile(path, std::move(file));
}

// The number stays, so that nobody who writes needs to know: dup3(2) changes what it means, between two
// writes.
cutils::Result<void> AccessLogFile::reopen() const {
    if (path_ == "-") return {};
    const nutils::UniqueFd file = open_file(path_);
    if (!file || ::dup3(file.get(), fd_.get(), O_CLOEXEC) < 0)
        return cutils::Error::from_errno("access log " + path_);
    state_->torn = state_->complained = false;
    return {};
}

void AccessLog::add(const Request& request, Status status, std::uint64_t body_bytes, std::time_t when,
                    std::optional<std::chrono::nanoseconds> took) {
    const std::string peer = peer_name(request);
    AccessLine line = line_of(request, peer);
    line.status = status;
    line.bytes = body_bytes;
    line.when = when;
    line.took = took;
    add(line);
}

std::unique_ptr<AccessLog::Kept> AccessLog::keep(const Request& request, Status status,
                                                 std::time_t when) const {
    const std::string peer = peer_name(request);
    auto kept = std::make_unique<Kept>();
    kept->line = line_of(request, peer);
    AccessLine& line = kept->line;
    line.status = status;
    line.when = when;
    std::string_view* const views[] = {&line.peer,    &line.user,       &line.method, &line.target,
                                       &line.referer, &line.user_agent, &line.host,   &line.id};
    std::size_t size = 0;
    for (const std::string_view* view : views) size += view->size();
    kept->text.reserve(size);
    for (std::string_view* view : views) {
        const std::size_t at = kept->text.size();
        kept->text.append(*view);
        *view = std::string_view(kept->text).substr(at);
    }
    return kept;
}

void AccessLog::add(const Kept& kept, std::uint64_t body_bytes,
                    std::optional<std::chrono::nanoseconds> took) {
    AccessLine line = kept.line;
    line.bytes = body_bytes;
    line.took = took;
    add(line);
}

AccessLine AccessLog::line_of(const Request& request, std::string_view peer) const {
    AccessLine line{.peer = peer,
                    .user = request.user(),
                    .method = request.method_name(),
                    .target = request.target(),
                    .version = request.version()};
    if (format_ != AccessLogFormat::common) {
        line.referer = request.header("Referer");
        line.user_agent = request.header("User-Agent");
    }
    if (format_ == AccessLogFormat::json) {
        line.host = request.host();
        line.id = request.id();
    }
    return line;
}

void AccessLog::add(const AccessLine& line) {
    append_access_line(lines_, format_, line);
    lines_ += '\n';
    if (lines_.size() >= kFlushAt) flush();
}

void AccessLog::flush() {
    if (lines_.empty()) return;
    nutils::SigpipeGuard guard;  // it may be a pipe
    bool mends = state_->torn.exchange(false);
    for (std::size_t done = 0; done < lines_.size();) {
        char newline = '\n';
        const iovec parts[] = {{&newline, mends ? std::size_t{1} : 0},
                               {lines_.data() + done, lines_.size() - done}};
        const ssize_t written = ::writev(fd_, parts, 2);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            guard.consume();
            if (!state_->complained.exchange(true))
                cutils::log(cutils::LogLevel::warning, "access log: %s; lines are dropped",
                            std::strerror(errno));
            if (mends || (done > 0 && lines_[done - 1] != '\n')) state_->torn = true;
            break;
        }
        done += static_cast<std::size_t>(written) - (std::exchange(mends, false) ? 1 : 0);
    }
    lines_.clear();
}

}  // namespace webby
