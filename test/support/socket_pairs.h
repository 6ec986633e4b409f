// Connected sockets for tests: two ends of a unix socket, or of a TCP connection over the loopback.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_ops.h"
#include "nutils/unique_fd.h"

namespace test_support {

struct SocketPair {
    nutils::UniqueFd near;
    nutils::UniqueFd far;
};

// Waits, five seconds at most, for what the kernel is about to deliver.
inline bool wait_for(int fd, short events) {
    pollfd waiting = {fd, events, 0};
    return ::poll(&waiting, 1, 5000) == 1;
}

// An abstract unix address of this process's own, so that test programs can run side by side.
inline nutils::SockAddr abstract_address(const std::string& name) {
    return nutils::SockAddr::unix_path("@evcorothread-test-" + std::to_string(::getpid()) + "-" + name)
        .value();
}

inline SocketPair unix_pair() {
    auto pair = nutils::stream_pair().value();
    return {std::move(pair.first), std::move(pair.second)};
}

inline SocketPair tcp_pair() {
    const nutils::UniqueFd listener = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
    nutils::UniqueFd near = nutils::socket_stream(AF_INET).value();
    (void)nutils::connect_start(near.get(), nutils::SockAddr::local_of(listener.get()).value());
    wait_for(listener.get(), POLLIN);
    nutils::UniqueFd far = nutils::accept_one(listener.get()).fd;
    wait_for(near.get(), POLLOUT);
    return {std::move(near), std::move(far)};
}

}  // namespace test_support
