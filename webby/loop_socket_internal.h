// LoopSocket: what a Session wants of a socket, for a coroutine. Internal.
#pragma once

#include <sys/uio.h>

#include <optional>
#include <span>
#include <string_view>

#include "cutils/deadline.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/tls_socket.h"
#include "nutils/sock_addr.h"
#include "webby/http1_engine.h"

namespace webby {

// Where TCP and TLS differ: the text of `output`, and its file behind it; what was agreed on.
nutils::IoResult send_file(evcorothread::EvSocket& socket, const Http1Engine::Output& output);
nutils::IoResult send_file(evcorothread::TlsSocket& socket, const Http1Engine::Output& output);
inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::EvSocket&) { return {}; }
inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::TlsSocket& socket) {
    return socket.info();
}

// Of an EvSocket or a TlsSocket, with the loop's cheap clock.
template <class Stream>
class LoopSocket {
  public:
    LoopSocket(Stream& stream, const evcorothread::EvLoop& loop) : stream_(stream), loop_(loop) {}

    [[nodiscard]] bool may_recv() const { return stream_.may_recv(); }
    nutils::IoResult try_recv(std::span<char> buffer) { return stream_.try_recv(buffer); }
    nutils::IoResult recv(std::span<char> buffer, cutils::Deadline deadline) {
        return stream_.recv(buffer, deadline);
    }
    nutils::IoResult send_all(std::string_view data, cutils::Deadline deadline) {
        return stream_.send_all(data, deadline);
    }
    nutils::IoResult send_all_v(std::span<iovec> pieces, cutils::Deadline deadline) {
        return stream_.send_all_v(pieces, deadline);
    }
    nutils::IoResult send_file(const Http1Engine::Output& output) {
        return webby::send_file(stream_, output);
    }
    nutils::IoResult shutdown_send() { return stream_.shutdown_send(); }
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const { return stream_.peer(); }
    [[nodiscard]] std::optional<evcorothread::TlsInfo> tls() const { return tls_info(stream_); }
    [[nodiscard]] int fd() const { return stream_.fd(); }
    [[nodiscard]] cutils::TimePoint lately() const { return loop_.now(); }
    [[nodiscard]] cutils::TimePoint now() const { return loop_.precise_now(); }

  private:
    Stream& stream_;
    const evcorothread::EvLoop& loop_;
};

}  // namespace webby
