// Listeners for clients under test: one that answers, a place where there is none, one that never answers.
#pragma once

#include <poll.h>

#include <vector>

#include "nutils/listen_stream.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_ops.h"
#include "nutils/unique_fd.h"

namespace test_support {

struct Listener {
    explicit Listener(const nutils::SockAddr& where, int backlog = 16)
        : fd(nutils::listen_stream(where, {.backlog = backlog}).value()),
          address(nutils::SockAddr::local_of(fd.get()).value()) {}
    nutils::UniqueFd fd;
    nutils::SockAddr address;
};

// Where nobody listens.
inline nutils::SockAddr nowhere() {
    const Listener gone(nutils::SockAddr::loopback(0));
    return gone.address;
}

// A listener whose queue is full: what connects now gets no answer.
struct FullListener : Listener {
    explicit FullListener(const nutils::SockAddr& where) : Listener(where, 0) {
        for (int i = 0; i < 3; ++i) {
            queued.push_back(nutils::socket_stream(address.family()).value());
            if (nutils::connect_start(queued.back().get(), address) == nutils::NetError::in_progress)
                (void)::poll(nullptr, 0, 1);
        }
    }
    std::vector<nutils::UniqueFd> queued;
};

}  // namespace test_support
