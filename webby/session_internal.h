// Session: a connection at work, as the coroutine driver does it, over plain TCP or TLS. Internal.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>

#include "cutils/deadline.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/tls_socket.h"
#include "webby/exchange.h"
#include "webby/limits.h"

namespace webby {

// What the sessions of a driver have in common.
struct SessionSettings {
    evcorothread::EvLoop& loop;
    const Timeouts& timeouts;
    cutils::Deadline idle;
};

// --- where TCP and TLS differ ---

inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::EvSocket&) { return {}; }
inline std::optional<evcorothread::TlsInfo> tls_info(const evcorothread::TlsSocket& socket) {
    return socket.info();
}

// The text of `output`, and its file behind it.
nutils::IoResult send_file(evcorothread::EvSocket& socket, const Http1Engine::Output& output);
nutils::IoResult send_file(evcorothread::TlsSocket& socket, const Http1Engine::Output& output);

// --- where they do not ---

// A connection at work: moves bytes between the socket and an exchange until there is nothing more to do.
// Owner: a local of the coroutine that serves.
template <class Stream>
class Session final : public Wire {
  public:
    Session(const SessionSettings& settings, Stream& socket, Exchange& exchange)
        : settings_(settings), socket_(socket), exchange_(exchange), engine_(exchange.engine()) {}

    evcorothread::EvParking::Next run() {
        exchange_.begin(*this);
        for (Exchange::Want want = Exchange::Want::input;; want = exchange_.advance()) {
            if (!send_output()) return evcorothread::EvParking::Next::close();
            switch (want) {
                case Exchange::Want::send: break;
                case Exchange::Want::input:
                    if (engine_.is_idle() && !socket_.may_recv())
                        return evcorothread::EvParking::Next::park(settings_.idle);
                    switch (receive()) {
                        case Received::something: break;
                        case Received::nothing: return evcorothread::EvParking::Next::park(settings_.idle);
                        case Received::failure: return evcorothread::EvParking::Next::close();
                    }
                    break;
                case Exchange::Want::close:
                    if (engine_.lingers()) linger();
                    return evcorothread::EvParking::Next::close();
            }
        }
    }

    nutils::IoResult refill(cutils::Deadline deadline) override {
        if (!send_output()) return {0, std::make_error_code(std::errc::broken_pipe)};
        const nutils::IoResult got = socket_.recv(engine_.input_space(), deadline);
        if (got) engine_.received(got.bytes);
        if (!got.eof()) return got;
        engine_.end_of_input();
        return {};
    }
    nutils::SockAddr peer() const override { return socket_.peer().value_or(nutils::SockAddr()); }
    std::optional<evcorothread::TlsInfo> tls() const override { return tls_info(socket_); }
    cutils::TimePoint now() const override { return settings_.loop.now(); }

  private:
    enum class Received { something, nothing, failure };

    // The socket's idle timeout limits each wait: a client that takes a little now and then may take all day.
    bool send_output() {
        if (!engine_.has_output()) return true;
        const nutils::IoResult sent = engine_.must_send()
                                          ? send_large()
                                          : socket_.send_all(engine_.output_text(), cutils::Deadline::never);
        engine_.sent();
        return static_cast<bool>(sent);
    }

    [[gnu::noinline]] nutils::IoResult send_large() {
        const Http1Engine::Output output = engine_.output();
        std::array<iovec, 2> pieces = {iovec{const_cast<char*>(output.text.data()), output.text.size()},
                                       iovec{const_cast<char*>(output.body.data()), output.body.size()}};
        if (output.file < 0) return socket_.send_all_v(pieces, cutils::Deadline::never);
        return send_file(socket_, output);
    }

    Received receive() {
        const std::span<char> space = engine_.input_space();
        const nutils::IoResult got =
            engine_.is_idle() ? socket_.try_recv(space) : socket_.recv(space, deadline());
        if (got) [[likely]] {
            engine_.received(got.bytes);
            return Received::something;
        }
        if (got.would_block()) return Received::nothing;
        if (got.eof())
            engine_.end_of_input();
        else if (got.timed_out())
            engine_.time_out();
        else
            return Received::failure;
        return Received::something;
    }

    // A head, and what is left of a body that nobody reads, have one deadline from beginning to end, so that
    // dribbling does not help; a body that is read has to make progress, which the socket's idle timeout sees
    // to.
    cutils::Deadline deadline() {
        const bool in_head = engine_.is_reading_head();
        if (!in_head && !engine_.is_draining()) return cutils::Deadline::never;
        if (!deadline_ || deadline_of_ != engine_.requests() || deadline_is_of_head_ != in_head) {
            deadline_of_ = engine_.requests();
            deadline_is_of_head_ = in_head;
            deadline_ = now() + (in_head ? settings_.timeouts.head : settings_.timeouts.io);
        }
        return *deadline_;
    }

    // Waits for the client to close first, forgetting what it still sends: closing a socket with unread input
    // resets the connection, and the reset may overtake the answer.
    void linger() {
        constexpr std::size_t kEnough = 256 * 1024;
        std::array<char, 2048> forgotten;
        if (!socket_.shutdown_send()) return;
        const cutils::Deadline until = now() + settings_.timeouts.linger;
        for (std::size_t bytes = 0; bytes < kEnough;) {
            const nutils::IoResult got = socket_.recv(forgotten, until);
            if (!got) return;
            bytes += got.bytes;
        }
    }

    const SessionSettings& settings_;
    Stream& socket_;
    Exchange& exchange_;
    Http1Engine& engine_;
    std::optional<cutils::TimePoint> deadline_;
    std::uint64_t deadline_of_ = 0;
    bool deadline_is_of_head_ = false;
};

}  // namespace webby
