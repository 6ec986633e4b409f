// How an engine's output goes out step by step, as far as a socket that never waits takes it. Internal.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include "nutils/io_result.h"
#include "nutils/socket_ops.h"
#include "webby/http1_engine.h"

namespace webby {

inline constexpr std::size_t kRecordSize = 16 * 1024;  // what TLS encrypts at a time
inline constexpr int kStepsInARow = 32;                // then others go first

inline std::uint64_t memory_size(const Http1Engine::Output& output) {
    return output.text.size() + output.body.size();
}
inline std::uint64_t total_size(const Http1Engine::Output& output) {
    return memory_size(output) + (output.file >= 0 ? output.count : 0);
}

// Socket: try_send(text, flags), try_sendv(pieces), try_sendfile(file, offset, count). `sent` bytes, fewer
// than there are, have gone before.
template <class Socket>
nutils::IoResult send_memory_step(Socket& socket, const Http1Engine::Output& output, std::size_t sent) {
    const std::string_view text = output.text.substr(std::min(sent, output.text.size()));
    const std::string_view body = output.body.substr(sent - std::min(sent, output.text.size()));
    if (body.empty()) return socket.try_send(text, output.file >= 0 ? MSG_MORE : 0);
    const std::array<iovec, 2> pieces = {iovec{const_cast<char*>(text.data()), text.size()},
                                         iovec{const_cast<char*>(body.data()), body.size()}};
    return socket.try_sendv(pieces);
}

template <class Socket>
nutils::IoResult send_file_step(Socket& socket, const Http1Engine::Output& output, std::uint64_t sent) {
    // kStepsInARow of these are what a client that takes all at once may hold the others up for.
    constexpr std::uint64_t kFilePiece = 128 * 1024;
    off_t offset = output.offset + static_cast<off_t>(sent);
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(output.count - sent, kFilePiece));
    const nutils::IoResult some = socket.try_sendfile(output.file, offset, count);
    if (some.error != std::errc::invalid_argument && some.error != std::errc::function_not_supported)
        return some;
    std::array<char, 8 * 1024> piece;  // for a file that sendfile(2) does not take
    const nutils::IoResult got =
        nutils::read_at(output.file, {piece.data(), std::min(count, piece.size())}, offset);
    return got.error ? nutils::IoResult{0, got.error} : socket.try_send({piece.data(), got.bytes}, 0);
}

template <class Socket>
nutils::IoResult send_step(Socket& socket, const Http1Engine::Output& output, std::uint64_t sent) {
    const std::uint64_t memory = memory_size(output);
    return sent < memory ? send_memory_step(socket, output, static_cast<std::size_t>(sent))
                         : send_file_step(socket, output, sent - memory);
}

// What goes into the next record: text, body and file, as much as `room` takes. Errors: those of read_at.
inline nutils::IoResult next_record(const Http1Engine::Output& output, std::uint64_t sent,
                                    std::span<char> room) {
    std::size_t filled = 0;
    std::uint64_t skip = sent;
    for (const std::string_view piece : {output.text, output.body}) {
        const auto from = static_cast<std::size_t>(std::min<std::uint64_t>(skip, piece.size()));
        skip -= from;
        filled += piece.copy(room.data() + filled, room.size() - filled, from);
    }
    const std::uint64_t left = total_size(output) - sent - filled;
    if (filled == room.size() || left == 0) return {filled, {}};
    const auto done = static_cast<off_t>(sent + filled - memory_size(output));
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(room.size() - filled, left));
    const nutils::IoResult got =
        nutils::read_at(output.file, {room.data() + filled, size}, output.offset + done);
    return {filled + got.bytes, got.error};
}

}  // namespace webby
