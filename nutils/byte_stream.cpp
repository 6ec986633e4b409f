#include "nutils/byte_stream.h"

#include <algorithm>

#include "cutils/check.h"
#include "nutils/iovecs.h"

namespace nutils {
namespace {

// How much recv_until asks for at a time: a page holds most request heads.
constexpr std::size_t kReadAhead = 4096;

// A duration becomes a point in time at the first look, so that the whole call has one deadline.
Deadline fixed(const ByteStream& stream, Deadline deadline) {
    return deadline.is_relative() ? deadline.resolved(stream.now()) : deadline;
}

// Where the delimiter begins, looking only at what is new since `searched` bytes were looked at.
std::size_t find(std::string_view text, std::string_view delimiter, std::size_t searched) {
    const std::size_t overlap = std::min(searched, delimiter.size() - 1);
    return text.find(delimiter, searched - overlap);
}

}  // namespace

ByteStream::~ByteStream() = default;

IoResult ByteStream::sendv(std::span<const iovec> pieces, Deadline deadline) {
    for (const iovec& piece : pieces)
        if (piece.iov_len > 0)
            return send({static_cast<const char*>(piece.iov_base), piece.iov_len}, deadline);
    return {};
}

IoResult ByteStream::finish_send(Deadline) { return shutdown_send(); }

IoResult ByteStream::recv_exact(std::span<char> buffer, Deadline deadline) {
    const Deadline end = fixed(*this, deadline);
    std::size_t done = 0;
    while (done < buffer.size()) {
        const IoResult got = recv(buffer.subspan(done), end);
        done += got.bytes;
        if (!got && done < buffer.size()) return {done, got.error};
    }
    return {done, {}};
}

IoResult ByteStream::recv_until(ByteBuffer& buffer, std::string_view delimiter, std::size_t limit,
                                Deadline deadline) {
    EVC_CHECK(!delimiter.empty(), "recv_until an empty delimiter");
    std::size_t searched = 0;
    IoResult got;
    for (;;) {
        const std::string_view text = buffer.readable();
        const std::size_t place = find(text, delimiter, searched);
        if (place != std::string_view::npos && place + delimiter.size() <= limit)
            return {place + delimiter.size(), {}};
        if (place != std::string_view::npos || text.size() >= limit) return {text.size(), NetError::too_long};
        if (!got) return {text.size(), got.error};
        searched = text.size();

        if (buffer.available() == 0) return {text.size(), NetError::too_long};
        const std::span<char> room = buffer.writable(std::min(kReadAhead, buffer.available()));
        if (room.empty()) return {text.size(), std::make_error_code(std::errc::not_enough_memory)};
        deadline = fixed(*this, deadline);
        got = recv(room, deadline);
        buffer.commit(got.bytes);
    }
}

IoResult ByteStream::send_all(std::string_view data, Deadline deadline) {
    const Deadline end = fixed(*this, deadline);
    std::size_t done = 0;
    while (done < data.size()) {
        const IoResult sent = send(data.substr(done), end);
        done += sent.bytes;
        if (!sent && done < data.size()) return {done, sent.error};
    }
    return {done, {}};
}

IoResult ByteStream::send_all_v(std::span<iovec> pieces, Deadline deadline) {
    const Deadline end = fixed(*this, deadline);
    std::size_t done = 0;
    std::span<iovec> left = advanced(pieces, 0);
    while (!left.empty()) {
        const IoResult sent = sendv(left, end);
        done += sent.bytes;
        left = advanced(left, sent.bytes);
        if (!sent && !left.empty()) return {done, sent.error};
    }
    return {done, {}};
}

}  // namespace nutils
