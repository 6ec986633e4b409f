// LoopSocket: what a Session wants of a socket, for a coroutine. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "cutils/deadline.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/tls_socket.h"
#include "nutils/sock_addr.h"
#include "webby/http1_engine.h"
#include "webby/output_steps_internal.h"

namespace webby {

// Where TCP and TLS differ: how output goes out, and what was agreed on.
inline nutils::IoResult send_step(evcorothread::TlsSocket& socket, const Http1Engine::Output& output,
                                  std::uint64_t sent) {
    // Not on a coroutine's small stack, and only as long as there is much to send.
    const std::size_t size =
        static_cast<std::size_t>(std::min<std::uint64_t>(total_size(output) - sent, kRecordSize));
    const std::unique_ptr<char[]> room(new char[size]);
    const nutils::IoResult record = next_record(output, sent, {room.get(), size});
    return record.error ? nutils::IoResult{0, record.error} : socket.try_send({room.get(), record.bytes});
}
inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::EvSocket&) { return {}; }
inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::TlsSocket& socket) {
    return socket.info();
}

// Of an EvSocket or a TlsSocket, with the loop's cheap clock.
template <class Stream>
class LoopSocket {
  public:
    LoopSocket(Stream& stream, const evcorothread::EvLoop& loop) : stream_(stream), loop_(loop) {}

    // What it has taken may not be with the kernel yet: try_flush().
    static constexpr bool kKeepsOutput = std::is_same_v<Stream, evcorothread::TlsSocket>;

    [[nodiscard]] bool may_recv() const { return stream_.may_recv(); }
    nutils::IoResult try_recv(std::span<char> buffer) { return stream_.try_recv(buffer); }
    nutils::IoResult recv(std::span<char> buffer, cutils::Deadline deadline) {
        return stream_.recv(buffer, deadline);
    }
    nutils::IoResult send_all(std::string_view data, cutils::Deadline deadline) {
        return stream_.send_all(data, deadline);
    }
    nutils::IoResult try_send(std::string_view data) { return stream_.try_send(data); }
    nutils::IoResult send_step(const Http1Engine::Output& output, std::uint64_t sent) {
        return webby::send_step(stream_, output, sent);
    }
    std::error_code try_flush() { return stream_.try_flush(); }
    static void let_others_go_first() { evcorothread::this_evthread::yield(); }
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
