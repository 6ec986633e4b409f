#include <sys/socket.h>

#include <array>
#include <atomic>
#include <string>
#include <string_view>

#include "cutils/log.h"
#include "nutils/socket_ops.h"
#include "webby/proxy_reader_internal.h"

namespace webby {

ProxyReader::Step ProxyReader::refuse(int fd, const char* why) {
    constexpr cutils::Duration kEvery = std::chrono::seconds(1);
    static std::atomic<cutils::Duration::rep> next{0};
    const cutils::Duration::rep now = cutils::monotonic_now().time_since_epoch().count();
    cutils::Duration::rep due = next.load(std::memory_order_relaxed);
    if (now >= due && next.compare_exchange_strong(due, now + kEvery.count()))
        cutils::log(cutils::LogLevel::warning, "webby: a connection from %s is closed: PROXY header: %s",
                    nutils::SockAddr::peer_of(fd).value_or(nutils::SockAddr()).to_string().c_str(), why);
    return Step::refused;
}

ProxyReader::Step ProxyReader::read(int fd) {
    if (!peer_is_trusted_) {
        const nutils::SockAddr peer = nutils::SockAddr::peer_of(fd).value_or(nutils::SockAddr());
        peer_is_trusted_ = peer.is_ip() ? trust_.networks.contains(peer) : trust_.unix_sockets;
        if (!peer_is_trusted_) return refuse(fd, "not from a trusted proxy");
    }
    std::array<char, 512> room;
    for (;;) {
        const nutils::IoResult seen = nutils::recv_some(fd, room, MSG_PEEK);
        if (seen.would_block()) return Step::need_more;
        if (!seen) return Step::refused;
        std::string_view input(room.data(), seen.bytes);
        const ProxyHeaderParser::Step step = parser_.eat(input);
        if (step == ProxyHeaderParser::Step::refused) return refuse(fd, parser_.error().message().c_str());
        const std::size_t eaten = seen.bytes - input.size();
        if (const nutils::IoResult taken = nutils::recv_some(fd, {room.data(), eaten}); !taken)
            return Step::refused;
        if (step == ProxyHeaderParser::Step::done) return Step::done;
    }
}

std::unique_ptr<nutils::SockAddr> ProxyReader::client() const {
    if (!parser_.header().has_addresses) return nullptr;
    return std::make_unique<nutils::SockAddr>(parser_.header().source);
}

}  // namespace webby
