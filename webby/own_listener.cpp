#include <fcntl.h>
#include <sys/socket.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "evcorothread/ev_loop.h"
#include "nutils/socket_options.h"
#include "webby/own_listener_internal.h"

namespace webby {

using namespace std::chrono_literals;
using evcorothread::EvTcpAcceptor;

OwnListener::OwnListener(evcorothread::EvLoop& loop, Driver& driver, const Options& options)
    : driver_(driver), options_(options), again_(loop, [this] { look_again(); }) {}

cutils::Result<std::unique_ptr<OwnListener>> OwnListener::open(evcorothread::EvLoop& loop,
                                                               nutils::UniqueFd listener, Driver& driver,
                                                               const Options& options) {
    auto own = std::make_unique<OwnListener>(loop, driver, options);
    cutils::Result<EvTcpAcceptor> acceptor = EvTcpAcceptor::adopt_raw(
        loop, std::move(listener),
        [self = own.get()](nutils::UniqueFd connection, const nutils::SockAddr& peer) {
            self->arrived(std::move(connection), peer);
        });
    if (!acceptor) return acceptor.error();
    own->acceptor_ = *std::move(acceptor);
    return own;
}

void OwnListener::close() {
    again_.stop();
    if (!acceptor_ || !acceptor_->is_open()) return;
    acceptor_->close();
}

void OwnListener::arrived(nutils::UniqueFd connection, const nutils::SockAddr& peer) {
    driver_.adopt(std::move(connection), peer, {}, options_.tls);
    if (!is_full()) return;
    acceptor_->pause();
    again_.start(cutils::Deadline(10ms));
}

void OwnListener::look_again() {
    if (is_full()) return again_.start(cutils::Deadline(10ms));
    acceptor_->resume();
}

namespace {

cutils::Error wrong(std::string_view text, const char* why) {
    return {std::make_error_code(std::errc::invalid_argument),
            "address \"" + std::string(text) + "\": " + why};
}

bool is_stream(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

}  // namespace

cutils::Result<nutils::UniqueFd> take_listener(std::string_view text) {
    int fd = -1;
    const std::string_view digits = text.substr(text.find(':') + 1);
    const char* const end = digits.data() + digits.size();
    if (const auto read = std::from_chars(digits.data(), end, fd);
        read.ec != std::errc() || read.ptr != end || fd < 0)
        return wrong(text, "not the number of a descriptor");
    if (!is_stream(fd) || nutils::check_listens(fd)) return wrong(text, "not a stream socket that listens");
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return cutils::Error::from_errno(std::string(text));
    return nutils::UniqueFd(fd);
}

}  // namespace webby
